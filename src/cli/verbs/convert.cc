#include "base/error.h"
#include "cli/model_flags.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "cli/writing_memory.h"
#include "models/save.h"
#include "models/save_gguf.h"

namespace martlet::cli {

int run_convert(std::span<const std::string> arguments) {
  std::string out, dtype = "same";
  bool packed = false;
  uint64_t memory = 0;
  ModelFlags flags;
  Options options("convert", "martlet convert my-model -o my-model.gguf --dtype bf16 --memory 1G");
  flags.declare(options);
  options
      .text("-o,--out", "OUT", out,
            "F.gguf: a GGUF file; any other name: a directory that transformers reads, which must not exist "
            "yet")
      .choice("--dtype", dtype, {"same", "f32", "f16", "bf16"},
              "what weights become; same: as they are, though a directory holds packed ones as f32. Vectors "
              "in a GGUF file are f32 always");
  options.flag("--packed", packed,
               "a directory keeps packed weights packed; it is smaller, opens without packing, and only "
               "martlet reads it");
  options.size(
      "--memory", "SIZE", memory,
      "memory that it may take, such as 1G; a part of a tensor is held at a time, whatever the model");
  if (!options.parse(arguments)) return 0;
  if (out.empty()) fail(ErrorCode::kUsage, "convert needs -o F.gguf or -o DIR");
  const WritingMemory budget(flags.model, memory);
  models::OpenOptions opening = flags.open_options();
  opening.spill_folder = folder_beside(out);
  const models::OpenModel model = models::open_model(flags.path(), opening);
  std::optional<DType> wanted;
  if (dtype != "same") wanted = dtype == "f32" ? DType::kF32 : dtype == "f16" ? DType::kF16 : DType::kBF16;
  if (out.ends_with(".gguf")) {
    models::GgufSaveOptions saving = wanted ? models::with_dtype(*wanted) : models::GgufSaveOptions{};
    saving.before_writing = budget.check();
    models::save_gguf(model, out, saving, *make_progress());
  } else {
    models::save_model(model, out,
                       {.dtype = wanted, .keep_packed = packed, .before_writing = budget.check()});
  }
  return 0;
}

}  // namespace martlet::cli

#include "compress/quantize.h"

#include <map>

#include "base/error.h"
#include "base/human.h"
#include "base/mapped_parts.h"
#include "base/process_memory.h"
#include "cli/options.h"
#include "cli/quality.h"
#include "cli/run_model_flags.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "cli/writing_memory.h"
#include "models/row_parts.h"
#include "nn/tree.h"
#include "plan/catalogue.h"

namespace martlet::cli {
namespace {

struct QuantizeRequest {
  RunModelFlags model;
  std::string to = "q4_k_m";
  std::string importance;       ///< a text or a file of importance
  std::string save_importance;  ///< where to
  std::string compare;          ///< a text
  std::string out;
  bool json = false;
};

infer::LanguageModel opened(const QuantizeRequest& request) {
  models::OpenOptions options = request.model.open_options();
  options.spill_folder = folder_beside(request.out);
  return infer::LanguageModel::load(request.model.path(), options);
}

/// Refuses what could not be written before the model has run for hours.
void require_memory_to_write(const nn::Model& model, const WritingMemory& budget) {
  int64_t most = 0;
  nn::walk_parameters(model, [&](const std::string&, nn::Parameter& parameter) {
    most = std::max(most, models::bytes_of_part(parameter.shape(), 1));
  });
  budget.require(most);
}

/// What the model learns of a text. It runs within the budget, for which its tree may change.
compress::Importance gathered(infer::LanguageModel& model, QuantizeRequest& request,
                              const WritingMemory& budget) {
  require_memory_to_write(model.tree(), budget);
  const std::vector<int32_t> ids = ids_of_text(model, request.importance);
  compress::ImportanceOptions options;
  options.begin = beginning_of(model);
  request.model.fit(model.opened(), {.prompt_tokens = compress::importance_window(model.tree()),
                                     .new_tokens = 0,
                                     .beside = compress::importance_bytes(model.tree()),
                                     .beside_is = "importance"});
  compress::Importance importance = compress::gather_importance(model.tree(), ids, options, *make_progress());
  importance.data = request.importance;
  if (!request.save_importance.empty())
    compress::write_importance(importance, *model.files().family, request.save_importance);
  return importance;
}

/// Elements and bytes of the weights, and how many elements each type holds.
struct Sizes {
  int64_t elements = 0;
  int64_t bytes = 0;
  std::map<std::string, int64_t> by_type;
};

Sizes sizes_of(const nn::Model& model) {
  Sizes sizes;
  std::vector<const void*> seen;
  nn::walk_parameters(model, [&](const std::string&, nn::Parameter& parameter) {
    if (std::find(seen.begin(), seen.end(), parameter.identity()) != seen.end()) return;
    seen.push_back(parameter.identity());
    sizes.elements += parameter.element_count();
    sizes.bytes += parameter.byte_count();
    sizes.by_type[std::string(parameter.type_name())] += parameter.element_count();
  });
  return sizes;
}

double bits_of(const Sizes& sizes) {
  return 8.0 * static_cast<double>(sizes.bytes) / static_cast<double>(std::max<int64_t>(sizes.elements, 1));
}

std::string lines_of(const Sizes& before, const Sizes& after) {
  std::string types;
  for (const auto& [type, elements] : after.by_type)
    types += fmt::format("{}{} {:.1f} %", types.empty() ? "" : ", ", type,
                         100.0 * static_cast<double>(elements) / static_cast<double>(after.elements));
  return fmt::format("{:<19} {}\n{:<19} {}, {:.2f} bits each\n{:<19} {}, {:.2f} bits each\n{:<19} {}\n",
                     "weights", format_integer(before.elements), "before",
                     format_bytes(static_cast<uint64_t>(before.bytes)), bits_of(before), "after",
                     format_bytes(static_cast<uint64_t>(after.bytes)), bits_of(after), "of the weights",
                     types);
}

Json row_of(const Sizes& before, const Sizes& after) {
  Json row;
  row.set("weights", before.elements).set("bytes_before", before.bytes).set("bytes_after", after.bytes);
  row.set("bits_before", bits_of(before)).set("bits_after", bits_of(after));
  Json types;
  for (const auto& [type, elements] : after.by_type) types.set(type, elements);
  return row.set("elements_by_type", types);
}

void report(infer::LanguageModel& before, QuantizeRequest& request) {
  models::OpenModel after = models::open_model(request.out, {plan::rewrites(), {}, {}});
  const Sizes old_sizes = sizes_of(before.tree());
  const Sizes new_sizes = sizes_of(*after.tree);
  Json row = row_of(old_sizes, new_sizes);
  if (!request.json) fmt::print("{}", lines_of(old_sizes, new_sizes));
  if (!request.compare.empty()) {
    eval::PerplexityOptions options;
    options.begin = beginning_of(before);
    options.context = usual_window(before);
    const std::vector<int32_t> ids = ids_of_text(before, request.compare);
    request.model.fit_both(before.opened(), request.out, after,
                           {.prompt_tokens = options.context, .new_tokens = 0, .scores = options.context});
    const eval::Comparison quality =
        eval::compare(before.tree(), *after.tree, ids, options, *make_progress());
    row.set("quality", cli::row_of(quality));
    if (!request.json) fmt::print("{}", cli::lines_of(quality, options.context));
  }
  if (request.json) fmt::print("{}\n", row.dump());
}

}  // namespace

int run_quantize(std::span<const std::string> arguments) {
  QuantizeRequest request;
  std::vector<std::string> names;
  for (const compress::Recipe& recipe : compress::recipes()) names.emplace_back(recipe.name);
  names.insert(names.end(), {"q4_k", "q5_k"});
  Options options(
      "quantize",
      "martlet quantize my-model --to q4_k_m --imatrix book.txt --memory 4G -o my-model-q4_k_m.gguf");
  request.model.declare(options);
  request.model.declare_memory(options,
                               "memory that it may take, such as 2G; what runs for --imatrix TEXT or "
                               "--compare and does not fit is read from disk meanwhile");
  options
      .choice("--to", request.to, names,
              "the mixture of formats (docs/quantisation.md); q4_k and q5_k are those called m")
      .text("--imatrix", "DATA", request.importance,
            "a text that the model reads first, so that columns weigh as much as what stands in them; or a "
            "file that --save-imatrix or llama.cpp's imatrix tool wrote")
      .text("--save-imatrix", "F.gguf", request.save_importance,
            "where to keep what was learnt from the text")
      .text("--compare", "TEXT", request.compare, "a text on which both models are compared afterwards")
      .text("-o,--out", "F.gguf", request.out, "the file to write")
      .flag("--json", request.json, "one object for programs");
  if (!options.parse(arguments)) return 0;
  if (!request.out.ends_with(".gguf"))
    fail(ErrorCode::kUsage,
         "quantize needs -o F.gguf; for a directory of rounded weights: martlet apply MODEL quantize to={} "
         "-o DIR",
         request.to);
  if (!request.save_importance.empty() && request.importance.empty())
    fail(ErrorCode::kUsage, "--save-imatrix keeps what --imatrix TEXT learns; give the text");
  if (request.to == "q4_k" || request.to == "q5_k") request.to += "_m";
  const compress::Recipe& recipe = compress::recipe_named(request.to);
  const WritingMemory budget(request.model.model, request.model.memory);
  const bool learns = !request.importance.empty() && !compress::is_importance_file(request.importance);
  if (learns) request.model.budget();  // what the opened model takes is no longer free
  infer::LanguageModel model = opened(request);
  std::optional<compress::Importance> importance;
  if (learns) {
    const size_t rewrites = model.files().rewrites.size();
    importance = gathered(model, request, budget);
    if (model.files().rewrites.size() != rewrites) {
      model = {};
      model = opened(request);
    }
    forget_mapped_files();
    release_cached_memory();
    reset_peak_memory();  // of the run, whose plan was another
  } else if (!request.importance.empty()) {
    importance = compress::read_importance(request.importance, model.files());
  }
  models::GgufSaveOptions saving =
      compress::quantised(model.files(), recipe, importance ? &*importance : nullptr);
  saving.before_writing = budget.check();
  models::save_gguf(model.files(), request.out, saving, *make_progress());
  report(model, request);
  return 0;
}

}  // namespace martlet::cli

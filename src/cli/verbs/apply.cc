#include "base/error.h"
#include "cli/model_flags.h"
#include "cli/options.h"
#include "cli/store.h"
#include "cli/verbs/verbs.h"
#include "models/save.h"
#include "plan/catalogue.h"

namespace martlet::cli {

int run_apply(std::span<const std::string> arguments) {
  std::string model_name, out;
  std::vector<std::string> words;
  bool packed = false;
  Options options(
      "apply",
      "martlet apply smollm2 low_rank pattern='layers.*.feed_forward.*' energy=0.95 cast to=bf16 -o small");
  options.positional("MODEL", model_name, "a directory, a GGUF file or a name of the store")
      .positionals("REWRITE [KEY=VALUE ..] ..", words, "rewrites in order (`martlet rewrites` lists them)")
      .text("-o,--out", "DIR", out, "the model directory to write; it must not exist yet")
      .flag("--packed", packed,
            "packed weights stay packed; the directory is smaller, opens without packing, and only martlet "
            "reads it");
  if (!options.parse(arguments)) return 0;
  if (out.empty()) fail(ErrorCode::kUsage, "apply needs -o DIR");
  models::OpenOptions open{plan::rewrites(), rewrite_requests(words), {}};
  // A wrong name or argument is told before anything is read.
  for (const nn::RewriteRequest& request : open.rewrites) {
    const nn::Rewrite& rewrite = nn::rewrite_named(open.catalogue, request.name);
    nn::Arguments(rewrite.arguments, request.arguments, rewrite.name);
    if (rewrite.passing)
      fail(ErrorCode::kUsage,
           "{} is for one call alone and would leave nothing on disk; give it to that call with --rewrite",
           rewrite.name);
  }
  const models::OpenModel model = models::open_model(resolve_model(model_name), open);
  for (const nn::AppliedRewrite& applied : model.rewrites) fmt::print("{}\n", applied.to_string());
  models::save_model(model, out, {.keep_packed = packed});
  return 0;
}

}  // namespace martlet::cli

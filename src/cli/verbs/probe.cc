#include "base/error.h"
#include "cli/ids.h"
#include "cli/model_flags.h"
#include "cli/options.h"
#include "cli/store.h"
#include "cli/verbs/verbs.h"
#include "infer/language_model.h"
#include "plan/catalogue.h"

namespace martlet::cli {

int run_probe(std::span<const std::string> arguments) {
  std::string model_name, prompt, ids;
  std::string pattern = "layers.*";
  bool json = false;
  Options options("probe", "martlet probe smollm2 'layers.*.{attention,feed_forward}' -p 'The sky is'");
  options.positional("MODEL", model_name, "a directory, a GGUF file or a name of the store")
      .positional("PATTERN", pattern, "modules whose outputs are watched", false)
      .text("-p,--prompt", "TEXT", prompt, "what the model reads")
      .text("--ids", "I,J,..", ids, "the same as token ids")
      .flag("--json", json, "a list for programs");
  if (!options.parse(arguments)) return 0;
  if (prompt.empty() == ids.empty()) fail(ErrorCode::kUsage, "probe needs one of -p TEXT and --ids 1,5,9");
  nn::RewriteRequest request{"probe", {}};
  request.arguments.set("pattern", pattern);
  const infer::LanguageModel model =
      infer::LanguageModel::load(resolve_model(model_name), {plan::rewrites(), {request}, {}});
  infer::all_logits(model.tree(), ids.empty() ? model.tokenizer().encode(prompt) : parse_ids(ids));
  const Json rows = nn::rewrite_reports(model.files().tree, model.files().rewrites).at("probe");
  fmt::print("{}", json ? rows.dump() + "\n" : report_table(rows));
  return 0;
}

}  // namespace martlet::cli

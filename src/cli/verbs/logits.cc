#include "base/error.h"
#include "cli/ids.h"
#include "cli/options.h"
#include "cli/run_model_flags.h"
#include "cli/verbs/verbs.h"
#include "formats/npy.h"
#include "infer/generate.h"
#include "models/open.h"

namespace martlet::cli {

int run_logits(std::span<const std::string> arguments) {
  std::string ids, out;
  RunModelFlags flags;
  Options options("logits", "martlet logits smollm2 --ids 1,5,9 -o scores.npy");
  flags.declare_running(options);
  flags.declare_memory(options);
  options.text("--ids", "I,J,..", ids, "token ids with commas between")
      .text("-o,--out", "F.npy", out, "where the scores go: float32 [ids, vocabulary]");
  if (!options.parse(arguments)) return 0;
  if (ids.empty() || out.empty()) fail(ErrorCode::kUsage, "logits needs --ids 1,5,9 and -o FILE.npy");
  const std::vector<int32_t> tokens = parse_ids(ids);
  models::OpenModel model = models::open_model(flags.path(), flags.run_options());
  const auto count = static_cast<int64_t>(tokens.size());
  flags.fit(model, {.prompt_tokens = count, .new_tokens = 0, .scores = count});
  formats::write_npy(out, infer::all_logits(*model.tree, tokens));
  show_rewrite_reports(model);
  return 0;
}

}  // namespace martlet::cli

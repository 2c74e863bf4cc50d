#include "base/error.h"
#include "cli/options.h"
#include "cli/quality.h"
#include "cli/run_model_flags.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "plan/catalogue.h"

namespace martlet::cli {

int run_perplexity(std::span<const std::string> arguments) {
  RunModelFlags flags;
  std::string file, against;
  eval::PerplexityOptions measured;
  bool json = false;
  Options options("perplexity", "martlet perplexity smollm2 book.txt --against smollm2-q4.gguf");
  flags.declare(options);
  flags.declare_memory(options);
  options
      .positional("FILE", file,
                  "a text, cut into windows without overlap; the second half of each is predicted (-: "
                  "standard input)")
      .count("--context", "N", measured.context, "tokens a window, an even number", 4, int64_t{1} << 31)
      .count("--windows", "N", measured.most_windows, "only so many windows, the first; 0: all")
      .text("--against", "MODEL2", against,
            "another model of the same vocabulary: its perplexity, KL(MODEL || MODEL2)")
      .flag("--json", json, "one object for programs");
  if (!options.parse(arguments)) return 0;
  infer::LanguageModel model = infer::LanguageModel::load(flags.path(), flags.open_options());
  const std::vector<int32_t> ids = ids_of_text(model, file);
  measured.begin = beginning_of(model);
  if (!options.given("context")) measured.context = usual_window(model);
  const plan::RunGoal goal{.prompt_tokens = measured.context, .new_tokens = 0, .scores = measured.context};
  if (against.empty()) {
    flags.fit(model.opened(), goal);
    const eval::Perplexity result = eval::perplexity(model.tree(), ids, measured, *make_progress());
    if (json)
      fmt::print("{}\n", row_of(result).dump());
    else
      fmt::print("{}", lines_of(result, measured.context));
    return 0;
  }
  models::OpenModel other = models::open_model(resolve_model(against), {plan::rewrites(), {}, {}});
  flags.fit_both(model.opened(), against, other, goal);
  const eval::Comparison result = eval::compare(model.tree(), *other.tree, ids, measured, *make_progress());
  if (json)
    fmt::print("{}\n", row_of(result).dump());
  else
    fmt::print("{}", lines_of(result, measured.context));
  return 0;
}

}  // namespace martlet::cli

#include <cstdio>

#include "cli/chat_format.h"
#include "cli/chat_loop.h"
#include "cli/options.h"
#include "cli/prompt_cache_flags.h"
#include "cli/run_model_flags.h"
#include "cli/sampling_options.h"
#include "cli/speculation_flags.h"
#include "cli/verbs/verbs.h"

namespace martlet::cli {
namespace {

constexpr int64_t kPlannedTokens = 8192;

}  // namespace

int run_chat(std::span<const std::string> arguments) {
  RunModelFlags model_flags;
  std::string render, system;
  SamplingFlags flags;
  SpeculationFlags speculation;
  PromptCacheFlags prompt_cache;
  flags.tokens = 1024;
  Options options("chat", "martlet chat smollm2 --system 'Answer in one sentence.'");
  model_flags.declare_generating(options);
  options.text("--system", "TEXT", system, "the system message")
      .text("--render", "FILE.json", render,
            "print the prompt text of {messages, tools} exactly, and nothing else");
  speculation.declare(options);
  prompt_cache.declare(options);
  flags.declare(options);
  if (!options.parse(arguments)) return 0;
  infer::check(flags.sampling);
  const std::string path = model_flags.path();
  if (!render.empty()) {
    const std::string text = render_request(load_chat_format(path), Json::parse_file(render), render);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
  }
  const models::OpenOptions options_of_model = model_flags.run_options();
  speculation.open(path, model_flags.weight_cache_place());
  infer::LanguageModel model = infer::LanguageModel::load(path, options_of_model);
  // A conversation grows with every turn, and is planned for as long as most become.
  const int64_t limit = model.tree().shape().max_positions;
  const int64_t longest = std::max<int64_t>(limit > 0 ? std::min(limit, kPlannedTokens) : kPlannedTokens, 2);
  plan::RunGoal goal{longest / 2, longest / 2};
  goal.beside = speculation.memory(goal);
  model_flags.fit(model.opened(), goal);
  ChatSession session(model, chat_format_of(model));
  session.set_system(system);
  infer::GenerationOptions generation = flags.generation(model);
  speculation.apply(model.tree(), generation);
  prompt_cache.apply(model, path, generation);
  chat_loop(session, {generation, flags.stop_texts});
  return 0;
}

}  // namespace martlet::cli

#include <algorithm>

#include "base/error.h"
#include "base/human.h"
#include "cli/chat_format.h"
#include "cli/chat_loop.h"
#include "cli/options.h"
#include "cli/pull.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "nn/tree.h"
#include "plan/catalogue.h"

namespace martlet::cli {
namespace {

constexpr std::string_view kQuestions[] = {"What is the capital of France?", "Why is the sky blue?",
                                           "Write a sentence about a swallow that never lands."};

void bring(const std::string& name) {
  const std::vector<StoredModel> stored = stored_models();
  if (std::any_of(stored.begin(), stored.end(), [&](const StoredModel& model) { return model.name == name; }))
    return;
  fmt::print("Bringing {} to the local store\n", name);
  std::fflush(stdout);
  try {
    pull_model(name, "");
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInterrupted) throw;
    throw Error(error.code(),
                fmt::format("{}; with a model that you have: martlet quickstart --model DIRECTORY_OR_GGUF",
                            error.what()));
  }
}

}  // namespace

int run_quickstart(std::span<const std::string> arguments) {
  std::string model_name = "smollm2";
  Options options("quickstart", "martlet quickstart");
  options.text("--model", "MODEL", model_name, "a directory, a GGUF file or a store name");
  if (!options.parse(arguments)) return 0;
  if (!options.given("model")) bring(model_name);
  const std::string path = resolve_model(model_name);
  const infer::LanguageModel model = infer::LanguageModel::load(path, {plan::rewrites(), {}, {}});
  const nn::TreeSize size = nn::measure(model.tree());
  const nn::ModelShape& shape = model.tree().shape();
  fmt::print("{}: {} with {} layers of width {}, {} parameters in {}\n", styled(Style::kBold, model_name),
             model.files().family->name, shape.layers, shape.hidden_size, format_integer(size.parameters),
             format_bytes(static_cast<uint64_t>(size.bytes)));

  ReplyOptions reply;
  reply.generation.max_new_tokens = 80;
  reply.generation.stop_ids = model.stop_ids();
  const text::ChatFormat format = chat_format_of(model);
  for (const std::string_view question : kQuestions) {
    ChatSession session(model, format);
    session.say(question);
    fmt::print("\n{}\n", styled(Style::kCyan, fmt::format("> {}", question)));
    const ReplyStatistics statistics = show_reply(session, reply);
    fmt::print("{}\n", styled(Style::kDim,
                              fmt::format("first token after {:.2f} s, then {:.1f} tokens/s",
                                          statistics.first_token_seconds, statistics.tokens_per_second())));
  }
  if (!stdin_is_terminal() || !stdout_is_terminal()) return 0;
  fmt::print("\nNow you:\n");
  ChatSession session(model, format);
  reply.generation.max_new_tokens = 1024;
  chat_loop(session, reply);
  return 0;
}

}  // namespace martlet::cli

#include <algorithm>

#include "base/error.h"
#include "base/human.h"
#include "cli/chat_format.h"
#include "cli/chat_loop.h"
#include "cli/options.h"
#include "cli/pull.h"
#include "cli/quickstart_train.h"
#include "cli/standard_input.h"
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

int talk_with_a_small_model(std::span<const std::string> arguments) {
  std::string model_name = "smollm2";
  Options options("quickstart talk", "martlet quickstart talk");
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

/// Two ways to begin; a person chooses one.
std::string_view choice_of_a_person() {
  fmt::print(
      "{}\n  1  talk: fetches SmolLM2 135M (about 90 MB), asks it three questions, opens a chat\n"
      "  2  train: makes a small world and a model that learns it, in five minutes on two cores, then a "
      "chat\n"
      "1 or 2? ",
      styled(Style::kBold, "Two ways to begin:"));
  std::fflush(stdout);
  std::string line;
  while (line.find('\n') == std::string::npos) {
    const InputState state = read_some_input(line);
    if (state == InputState::kInterrupted) fail(ErrorCode::kInterrupted, "interrupted");
    if (state == InputState::kEnd) break;
  }
  if (line.empty()) return "";
  return line.starts_with('2') || line.starts_with('t') ? "train" : "talk";
}

}  // namespace

int run_quickstart(std::span<const std::string> arguments) {
  std::string what;
  if (!arguments.empty() && !arguments.front().starts_with('-')) {
    what = arguments.front();
    arguments = arguments.subspan(1);
  } else if (arguments.empty() && stdin_is_terminal() && stdout_is_terminal()) {
    what = choice_of_a_person();
    if (what.empty()) return 0;
  } else if (!arguments.empty() && (arguments.front() == "-h" || arguments.front() == "--help")) {
    Options options("quickstart", "martlet quickstart train");
    options.positional("WHAT", what,
                       "talk: fetch SmolLM2 135M and chat; train: make a small world and a model that learns "
                       "it, in five minutes; `martlet quickstart WHAT --help` tells more of each",
                       false);
    static_cast<void>(options.parse(arguments));
    return 0;
  }
  if (what == "train") return run_quickstart_train(arguments);
  if (!what.empty() && what != "talk")
    fail(ErrorCode::kUsage, "quickstart knows talk and train, not '{}'", what);
  if (what.empty() && arguments.empty())
    fmt::print("The other way to begin trains a model of your own: martlet quickstart train\n\n");
  return talk_with_a_small_model(arguments);
}

}  // namespace martlet::cli

#include "cli/chat_commands.h"

#include <array>
#include <cstdlib>

#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "cli/chat_loop.h"
#include "cli/terminal.h"

namespace martlet::cli {
namespace {

void note(std::string_view text) {
  fmt::print("{}\n", styled(Style::kDim, text));
}

void require(const std::string& argument, std::string_view form) {
  if (argument.empty()) bad_input("it is called as {}", form);
}

/// "~/talk.json" as the shell reads it.
std::string file_of(const std::string& argument) {
  const char* home = std::getenv("HOME");
  return argument.starts_with("~/") && home != nullptr ? home + argument.substr(1) : argument;
}

void system(ChatState& state, const std::string& text) {
  state.session.set_system(text);
  note(text.empty() ? "(no system message)" : "(from the next reply on)");
}

void save(ChatState& state, const std::string& argument) {
  require(argument, "/save FILE");
  write_file(file_of(argument), state.session.messages().dump(2) + "\n");
  note(fmt::format("({} messages written)", state.session.messages().array().size()));
}

void load(ChatState& state, const std::string& argument) {
  require(argument, "/load FILE");
  state.session.set_messages(Json::parse_file(file_of(argument)), argument);
  note(fmt::format("({} messages)", state.session.messages().array().size()));
}

void clear(ChatState& state, const std::string&) {
  state.session.clear();
  note("(a new conversation)");
}

void regenerate(ChatState& state, const std::string&) {
  infer::SamplingOptions& sampling = state.options.generation.sampling;
  const Json before = state.session.messages();
  if (!state.session.take_back("assistant")) bad_input("there is no reply to generate again");
  if (sampling.temperature == 0) note("(the same again, since temp is 0; /set temp 0.7 lets chance in)");
  ++sampling.seed;  // with a temperature: another draw
  try {
    state.last = show_reply(state.session, state.options);
  } catch (const Error&) {
    state.session.set_messages(before, "the conversation");
    throw;
  }
}

void statistics(ChatState& state, const std::string&) {
  const ReplyStatistics& last = state.last;
  if (last.prompt_tokens == 0) bad_input("there is no reply yet to tell of");
  fmt::print("prompt      {} tokens, {} of them read in earlier turns\n", last.prompt_tokens,
             last.reused_tokens);
  fmt::print("reply       {} tokens, the first after {:.2f} s, then {:.1f} tokens/s\n", last.new_tokens,
             last.first_token_seconds, last.tokens_per_second());
}

/// A number that /set changes: what it is now, and how to change it (throws when it cannot be).
struct Setting {
  std::string_view name;
  std::string (*show)(const infer::GenerationOptions& options);
  bool (*set)(infer::GenerationOptions& options, const std::string& value);
};

template <double infer::SamplingOptions::*member>
constexpr Setting real(std::string_view name) {
  return {
      name,
      [](const infer::GenerationOptions& options) { return fmt::format("{:g}", options.sampling.*member); },
      [](infer::GenerationOptions& options, const std::string& value) {
        char* end = nullptr;
        options.sampling.*member = std::strtod(value.c_str(), &end);
        return !value.empty() && *end == '\0';
      }};
}

constexpr std::array kSettings{
    real<&infer::SamplingOptions::temperature>("temp"),
    real<&infer::SamplingOptions::top_p>("top-p"),
    real<&infer::SamplingOptions::min_p>("min-p"),
    real<&infer::SamplingOptions::typical_p>("typical-p"),
    real<&infer::SamplingOptions::repetition_penalty>("repetition-penalty"),
    real<&infer::SamplingOptions::frequency_penalty>("frequency-penalty"),
    real<&infer::SamplingOptions::presence_penalty>("presence-penalty"),
    Setting{"top-k",
            [](const infer::GenerationOptions& options) { return std::to_string(options.sampling.top_k); },
            [](infer::GenerationOptions& options, const std::string& value) {
              const std::optional<int64_t> whole = parse_count(value);
              options.sampling.top_k = whole.value_or(0);
              return whole.has_value();
            }},
    Setting{"seed",
            [](const infer::GenerationOptions& options) { return std::to_string(options.sampling.seed); },
            [](infer::GenerationOptions& options, const std::string& value) {
              const std::optional<int64_t> whole = parse_count(value);
              options.sampling.seed = static_cast<uint64_t>(whole.value_or(0));
              return whole.has_value() && *whole >= 0;
            }},
    Setting{"tokens",
            [](const infer::GenerationOptions& options) { return std::to_string(options.max_new_tokens); },
            [](infer::GenerationOptions& options, const std::string& value) {
              const std::optional<int64_t> whole = parse_count(value);
              options.max_new_tokens = whole.value_or(0);
              return whole.has_value() && *whole > 0;
            }},
};

void set(ChatState& state, const std::string& words) {
  const size_t space = words.find(' ');
  const std::string name = words.substr(0, space);
  const std::string value = space == std::string::npos ? "" : words.substr(space + 1);
  std::vector<std::string> known;
  for (const Setting& setting : kSettings) {
    if (words.empty()) fmt::print("  {:<20}{}\n", setting.name, setting.show(state.options.generation));
    known.emplace_back(setting.name);
    if (setting.name != name) continue;
    infer::GenerationOptions changed = state.options.generation;
    if (!setting.set(changed, value)) bad_input("/set {} wants a number, got '{}'", name, value);
    infer::check(changed.sampling);
    state.options.generation = std::move(changed);
    return;
  }
  if (words.empty()) return;
  const std::optional<std::string> nearest = nearest_name(name, known);
  bad_input("/set does not know '{}'{}; /set alone lists what it knows", name,
            nearest ? fmt::format(" (did you mean {}?)", *nearest) : "");
}

void help(ChatState& state, const std::string& argument);

struct Command {
  std::string_view name, form, help;
  void (*run)(ChatState& state, const std::string& argument);
};

constexpr std::array kCommands{
    Command{"/help", "/help", "this list", help},
    Command{"/system", "/system TEXT", "set the system message; without TEXT take it away", system},
    Command{"/regenerate", "/regenerate", "another reply to the last message", regenerate},
    Command{"/clear", "/clear", "begin anew; the system message stays", clear},
    Command{"/save", "/save FILE", "write the conversation as JSON", save},
    Command{"/load", "/load FILE", "go on with a saved conversation", load},
    Command{"/set", "/set NAME NUMBER", "temp, top-p, tokens, seed, ...; alone it lists them", set},
    Command{"/stats", "/stats", "tokens and speed of the last reply", statistics},
};

void help(ChatState&, const std::string&) {
  for (const Command& known : kCommands) fmt::print("  {:<20}{}\n", known.form, known.help);
  fmt::print("  {:<20}{}\n", "/quit", "end; Ctrl-D does too");
  fmt::print(
      "A line that ends with \\ goes on in the next; \"\"\" begins and ends a longer text.\n"
      "Ctrl-C stops a reply.\n");
}

}  // namespace

bool run_chat_command(ChatState& state, const std::string& line) {
  const std::string words = line.substr(0, line.find_last_not_of(" \t") + 1);
  const size_t space = words.find(' ');
  const std::string name = words.substr(0, space);
  const size_t begin = space == std::string::npos ? space : words.find_first_not_of(' ', space);
  const std::string argument = begin == std::string::npos ? "" : words.substr(begin);
  if (name == "/quit" || name == "/exit") return false;
  std::vector<std::string> names{"/quit"};
  for (const Command& known : kCommands) {
    if (known.name == name) {
      known.run(state, argument);
      return true;
    }
    names.emplace_back(known.name);
  }
  const std::optional<std::string> nearest = nearest_name(name, names);
  bad_input("there is no command {}{}; /help lists them", name,
            nearest ? fmt::format(" (did you mean {}?)", *nearest) : "");
}

}  // namespace martlet::cli

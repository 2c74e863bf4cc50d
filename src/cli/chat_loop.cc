#include "cli/chat_loop.h"

#include <array>
#include <cstdio>

#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "cli/line_editor.h"
#include "cli/store.h"
#include "cli/terminal.h"

namespace martlet::cli {
namespace {

class Loop {
 public:
  Loop(ChatSession& session, infer::GenerationOptions options)
      : session_(session), options_(std::move(options)) {}

  void run() {
    LineEditor editor(store_root() + "/../chat_history");
    if (stdin_is_terminal())
      fmt::print("{}\n", styled(Style::kDim, "/help lists the commands, Ctrl-D ends."));
    std::string message;
    while (true) {
      const LineEditor::Outcome outcome = editor.read_message("> ", message);
      if (outcome == LineEditor::Outcome::kEnd) return;
      if (outcome == LineEditor::Outcome::kInterrupted || message.empty()) continue;
      try {
        if (message.front() == '/') {
          if (!command(message)) return;
        } else {
          session_.say(message);
          answer();
        }
      } catch (const Error& error) {
        // One thing that failed does not end the conversation.
        fmt::print("{}\n", styled(Style::kRed, error.what()));
      }
    }
  }

 private:
  void answer() {
    try {
      last_ = show_reply(session_, options_);
    } catch (const Error&) {
      session_.take_back("user");
      throw;
    }
  }

  void help(const std::string&) {
    for (const Command& known : kCommands) fmt::print("  {:<24}{}\n", known.form, known.help);
    fmt::print("  {:<24}{}\n", "/quit", "end; Ctrl-D does too");
    fmt::print("A line that ends with \\ goes on; a line of \"\"\" begins and ends a longer text.\n");
  }
  void system(const std::string& text) { session_.set_system(text); }
  void save(const std::string& file) {
    require(file, "/save FILE");
    write_file(file, session_.messages().dump(2) + "\n");
  }
  void load(const std::string& file) {
    require(file, "/load FILE");
    session_.set_messages(Json::parse_file(file), file);
    fmt::print("{} messages\n", session_.messages().array().size());
  }
  void regenerate(const std::string&) {
    if (!session_.take_back("assistant")) bad_input("there is no reply to generate again");
    ++options_.sampling.seed;  // with a temperature: another draw
    last_ = show_reply(session_, options_);
  }
  void set(const std::string& words) {
    const size_t space = words.find(' ');
    const std::string name = words.substr(0, space);
    const std::string value = space == std::string::npos ? "" : words.substr(space + 1);
    double* real = name == "temp"    ? &options_.sampling.temperature
                   : name == "top-p" ? &options_.sampling.top_p
                   : name == "min-p" ? &options_.sampling.min_p
                                     : nullptr;
    const std::optional<int64_t> whole = parse_count(value);
    if (real != nullptr) {
      char* end = nullptr;
      const double number = std::strtod(value.c_str(), &end);
      if (value.empty() || *end != '\0') bad_input("/set {} wants a number, got '{}'", name, value);
      const double before = *real;
      *real = number;
      try {
        infer::check(options_.sampling);
      } catch (const Error&) {
        *real = before;
        throw;
      }
    } else if (name == "tokens" && whole && *whole > 0) {
      options_.max_new_tokens = *whole;
    } else if (name == "top-k" && whole && *whole >= 0) {
      options_.sampling.top_k = *whole;
    } else if (name == "seed" && whole && *whole >= 0) {
      options_.sampling.seed = static_cast<uint64_t>(*whole);
    } else {
      bad_input("/set knows temp, top-p, min-p, top-k, tokens and seed with a number, not '{}'", words);
    }
  }
  void statistics(const std::string&) {
    fmt::print("last reply: {} tokens read, {} written, the first after {}, then {:.1f} tokens/s\n",
               last_.prompt_tokens, last_.new_tokens, format_duration(last_.first_token_seconds),
               last_.tokens_per_second());
  }

  static void require(const std::string& argument, std::string_view form) {
    if (argument.empty()) bad_input("it is called as {}", form);
  }

  struct Command {
    std::string_view name, form, help;
    void (Loop::*run)(const std::string& argument);
  };
  static const std::array<Command, 7> kCommands;

  /// False when the conversation ends.
  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
    if (name == "/quit" || name == "/exit") return false;
    for (const Command& known : kCommands)
      if (known.name == name) {
        (this->*known.run)(argument);
        return true;
      }
    bad_input("there is no command {}; /help lists them", name);
  }

  ChatSession& session_;
  infer::GenerationOptions options_;
  ReplyStatistics last_;
};

const std::array<Loop::Command, 7> Loop::kCommands{{
    {"/help", "/help", "this list", &Loop::help},
    {"/system", "/system TEXT", "set the system message; without text take it away", &Loop::system},
    {"/save", "/save FILE", "write the conversation as JSON", &Loop::save},
    {"/load", "/load FILE", "go on with a saved conversation", &Loop::load},
    {"/regenerate", "/regenerate", "another reply to the last question", &Loop::regenerate},
    {"/set", "/set NAME VALUE", "temp, top-p, min-p, top-k, tokens or seed", &Loop::set},
    {"/stats", "/stats", "tokens and speed of the last reply", &Loop::statistics},
}};

}  // namespace

void chat_loop(ChatSession& session, infer::GenerationOptions options) {
  Loop(session, std::move(options)).run();
}

ReplyStatistics show_reply(ChatSession& session, const infer::GenerationOptions& options) {
  const ReplyStatistics statistics = session.reply(options, [](std::string_view piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  });
  fmt::print("{}\n", statistics.stopped ? styled(Style::kDim, " (stopped)") : "");
  std::fflush(stdout);
  return statistics;
}

}  // namespace martlet::cli

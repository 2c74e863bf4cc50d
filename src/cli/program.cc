#include "cli/program.h"

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <new>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/human.h"
#include "base/interrupt.h"
#include "cli/verb.h"

namespace martlet::cli {
namespace {

extern "C" void on_interrupt(int) {
  if (interrupt_requested()) _exit(static_cast<int>(ErrorCode::kInterrupted));
  request_interrupt();
}

void print_help() {
  std::string text =
      "Martlet trains, adapts, runs and serves large language models.\n\n"
      "Usage: martlet VERB [options]\n\nVerbs:\n";
  for (const Verb& verb : verbs()) text += fmt::format("  {:<12}{}\n", verb.name, verb.summary);
  text +=
      "\nExample:\n  martlet pull smollm2\n\n"
      "`martlet VERB --help` tells more of each.\n";
  fmt::print("{}", text);
}

[[noreturn]] void unknown_verb(const std::string& word) {
  std::vector<std::string> known;
  for (const Verb& verb : verbs()) known.emplace_back(verb.name);
  const std::optional<std::string> nearest = nearest_name(word, known);
  fail(ErrorCode::kUsage, "there is no verb '{}'{}; `martlet --help` lists them", word,
       nearest ? fmt::format(" (did you mean {}?)", *nearest) : "");
}

const Verb& find_known_verb(const std::string& word) {
  const Verb* verb = find_verb(word);
  if (verb == nullptr) unknown_verb(word);
  return *verb;
}

int dispatch(std::span<const std::string> arguments) {
  if (arguments.empty()) {
    print_help();
    return static_cast<int>(ErrorCode::kUsage);
  }
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "help") {
    if (first == "help" && arguments.size() > 1)
      return find_known_verb(arguments[1]).run(std::vector<std::string>{"--help"});
    print_help();
    return 0;
  }
  if (first == "--version") {
    fmt::print("martlet {}\n", MARTLET_VERSION);
    return 0;
  }
  return find_known_verb(first).run(arguments.subspan(1));
}

int tell(ErrorCode code, std::string_view message) {
  // What was printed so far comes first when both streams share a terminal or a file.
  std::fflush(stdout);
  std::string line(message);
  for (char& c : line)
    if (c == '\n') c = ' ';
  std::fprintf(stderr, "martlet: %s\n", line.c_str());
  return static_cast<int>(code);
}

}  // namespace

int run_program(std::span<const std::string> arguments) {
  try {
    const int result = dispatch(arguments);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      fail(ErrorCode::kExhausted, "standard output could not be written in full; is the disk full?");
    return result;
  } catch (const Error& error) {
    return tell(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return tell(ErrorCode::kExhausted, "out of memory; a smaller model, batch or context may fit");
  } catch (const std::filesystem::filesystem_error& error) {
    const bool full = error.code() == std::errc::no_space_on_device;
    return tell(full ? ErrorCode::kExhausted : ErrorCode::kFailed,
                fmt::format("{}: {}", error.path1().string(), error.code().message()));
  } catch (const std::exception& error) {
    return tell(ErrorCode::kFailed, error.what());
  }
}

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  // A write that waits for its reader goes on; waits for a person end by poll, which never restarts.
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  // A write past a limit on file sizes fails as one to a full disk does.
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace martlet::cli

#pragma once

// A verb of the program: its name, one line of help, and what it does with its arguments.

#include <span>
#include <string>
#include <string_view>

namespace martlet::cli {

struct Verb {
  std::string_view name;
  std::string_view summary;
  /// Runs with the words after the verb; returns the exit code. Throws Error.
  int (*run)(std::span<const std::string> arguments);
};

/// Every verb, in the order of the help.
std::span<const Verb> verbs();
const Verb* find_verb(std::string_view name);

}  // namespace martlet::cli

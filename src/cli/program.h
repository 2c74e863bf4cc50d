#pragma once

#include <span>
#include <string>

namespace martlet::cli {

/// The whole program: finds the verb, runs it, tells an error as one sentence on standard error. Returns the
/// exit code.
int run_program(std::span<const std::string> arguments);

/// Ctrl-C asks long work to stop; a second one ends the program at once. A closed pipe ends it quietly.
void install_signal_handlers();

}  // namespace martlet::cli

#pragma once

#include <span>
#include <string>

namespace martlet::cli {

/// `explain train ...`: the options of `train`, the plan of the run, and what it will take. Gives the exit
/// code.
int explain_train(std::span<const std::string> arguments);

}  // namespace martlet::cli

#pragma once

#include <string>
#include <vector>

namespace martlet::cli {

/// Standard input to its end.
std::string read_standard_input();
/// The lines of a text, without their ends; a last empty one is left out.
std::vector<std::string> lines_of(const std::string& text);

}  // namespace martlet::cli

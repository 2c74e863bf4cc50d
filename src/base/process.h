#pragma once

#include <string>
#include <string_view>

namespace martlet {

/// This process as no other one is named: the machine, its boot, the number and the moment it began.
std::string process_mark();

/// Whether the process that gave this mark still runs. One of another machine is taken to.
bool process_runs(std::string_view mark);

}  // namespace martlet

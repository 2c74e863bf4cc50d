#pragma once

#include <string>
#include <vector>

#include "data/source.h"

namespace martlet::cli {

/// Sentences for what was met while data was read: parts that were replaced, files that were passed over.
std::vector<std::string> reading_notes(const data::ReadReport& report);

}  // namespace martlet::cli

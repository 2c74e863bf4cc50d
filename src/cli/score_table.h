#pragma once

#include <string>

#include "base/json.h"
#include "eval/tinyworld.h"

namespace martlet::cli {

/// "151 of 200 right: 75.5 % (95 % interval 69.1 to 80.9 %)"
std::string score_line(const eval::Score& score);
/// That line, then a row a skill and a language.
std::string score_table(const eval::TinyworldScore& score);
/// {right, total, accuracy, low, high, skills: {name: {..}}, languages: {name: {..}}}
Json score_row(const eval::TinyworldScore& score);

}  // namespace martlet::cli

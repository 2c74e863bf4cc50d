#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace martlet::cli {

/// "1,5,9" as ids. Throws kUsage naming the part that is no id.
std::vector<int32_t> parse_ids(std::string_view text);
/// A JSON list of integers as ids; `where` stands before the error.
std::vector<int32_t> ids_of(const Json& list, std::string_view where);
Json ids_to_json(const std::vector<int32_t>& ids);

}  // namespace martlet::cli

#pragma once

// Names from outside as error messages show them: readable, on one line, bounded in length.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace martlet::formats {

/// 'layers.0.weight'; control characters and broken UTF-8 are escaped, the middle of a long name is left out.
std::string in_quotes(std::string_view name);

/// 'a', 'b' and 'c'; past `most` names their number: 'a', 'b' and 17 more.
std::string listed(std::span<const std::string> names, size_t most = 8);

}  // namespace martlet::formats

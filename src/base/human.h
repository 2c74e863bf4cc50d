#pragma once

// Numbers and names as people write and read them.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace martlet {

/// "6G", "512 MiB", "1.5g", "4096" to bytes; letters are powers of 1024. Nothing when it is not a size.
std::optional<uint64_t> parse_size(std::string_view text);
/// "4k", "1.5M", "200" to a count; letters are powers of 1000.
std::optional<int64_t> parse_count(std::string_view text);
/// 98.4 MiB, 1.00 GiB, 17 B.
std::string format_bytes(uint64_t bytes);
/// 134,515,008.
std::string format_integer(int64_t value);
/// 134.5M, 1.1B, 960.
std::string format_count(double value);
/// 0.3 s, 2 min 5 s, 3 h 12 min.
std::string format_duration(double seconds);
/// 2026-11-26 14:05, in the time of this place, of seconds since 1970.
std::string format_moment(double seconds);
/// The known name nearest to `name` by edit distance, when near enough to suggest: a few letters
/// differ, or one begins the other.
std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known);

}  // namespace martlet

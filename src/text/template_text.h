#pragma once

// Cutting text as Python's str does: the parts that both methods and filters need. Positions are bytes.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace martlet::text::jinja {

inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

/// Where `part` is first found at or after byte `from`; npos when it is not. Linear time.
size_t find_text(std::string_view text, std::string_view part, size_t from = 0);
/// How often `part` (not empty) stands in `text` without overlap, up to `limit`.
int64_t count_text(std::string_view text, std::string_view part, int64_t limit = kNoLimit);

enum class Side { kBoth, kLeft, kRight };

/// Without whitespace at the sides.
std::string_view strip_space(std::string_view text, Side side = Side::kBoth);
/// Without the characters of `set` at the sides.
std::string_view strip_set(std::string_view text, std::string_view set, Side side);
/// str.splitlines.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
/// str.split and str.rsplit at whitespace, and at a separator (not empty), with at most `limit` cuts.
std::vector<std::string_view> split_space(std::string_view text, int64_t limit, bool from_right);
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t limit,
                                       bool from_right);
/// str.replace with at most `limit` replacements. `size` first, to refuse what would be too large.
size_t replaced_size(std::string_view text, std::string_view from, std::string_view to, int64_t limit);
std::string replaced(std::string_view text, std::string_view from, std::string_view to, int64_t limit);

}  // namespace martlet::text::jinja

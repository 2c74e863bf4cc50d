#include "base/human.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <ctime>
#include <fmt/format.h>
#include <utility>
#include <vector>

namespace martlet {
namespace {

// Longer names are nobody's typing errors, and comparing them takes quadratic time.
constexpr size_t kLongestSuggestion = 100;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// "12.5 MiB" to its digits ("12.5") and its unit ("MIB", upper case). Nothing when there is no plain number.
std::optional<std::pair<std::string_view, std::string>> split_number(std::string_view text) {
  size_t end = 0;
  size_t dots = 0;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.')) dots += text[end++] == '.' ? 1 : 0;
  const std::string_view digits = text.substr(0, end);
  if (dots > 1 || digits.empty() || !is_digit(digits.front()) || !is_digit(digits.back())) {
    return std::nullopt;
  }
  std::string_view rest = text.substr(end);
  if (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  std::string unit;
  for (const char c : rest) unit += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return std::pair{digits, unit};
}

/// digits * scale, rounded; nothing above `limit`. Whole numbers are exact.
std::optional<uint64_t> scaled(std::string_view digits, uint64_t scale, uint64_t limit) {
  if (digits.find('.') == std::string_view::npos) {
    uint64_t whole = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
    if (result.ec != std::errc() || whole > limit / scale) return std::nullopt;
    return whole * scale;
  }
  double real = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), real);
  const double product = std::round(real * static_cast<double>(scale));
  // 2^63 is exact as a double; no fraction is meant as close to the limit as rounding could hide.
  if (result.ec != std::errc() || !(product < 0x1p63)) return std::nullopt;
  const uint64_t value = static_cast<uint64_t>(product);
  return value > limit ? std::nullopt : std::optional(value);
}

/// The scale of a unit's first letter among `letters`: base to the power of its place, from 1.
std::optional<uint64_t> scale_of(char letter, std::string_view letters, uint64_t base) {
  const size_t place = letters.find(letter);
  if (place == std::string_view::npos) return std::nullopt;
  uint64_t scale = 1;
  for (size_t i = 0; i <= place; ++i) scale *= base;
  return scale;
}

/// Three significant digits, or more where the whole part has more.
std::string three_digits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  if (value < 99.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

/// Insertions, deletions, substitutions and exchanges of neighbours that turn one name into the other
/// (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

/// "--mem" of "--memory", "--output" of "--out".
bool begins(std::string_view beginning, std::string_view word) {
  constexpr size_t kFewest = 4;
  return beginning.size() >= kFewest && word.starts_with(beginning);
}

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  const auto parts = split_number(text);
  if (!parts) return std::nullopt;
  const auto& [digits, unit] = *parts;
  if (unit.empty() || unit == "B") {
    return digits.find('.') == std::string_view::npos ? scaled(digits, 1, UINT64_MAX) : std::nullopt;
  }
  const std::string_view ending = std::string_view(unit).substr(1);
  if (!ending.empty() && ending != "B" && ending != "IB") return std::nullopt;
  const std::optional<uint64_t> scale = scale_of(unit.front(), "KMGTP", 1024);
  return scale ? scaled(digits, *scale, UINT64_MAX) : std::nullopt;
}

std::optional<int64_t> parse_count(std::string_view text) {
  const auto parts = split_number(text);
  if (!parts) return std::nullopt;
  const auto& [digits, unit] = *parts;
  uint64_t scale = 1;
  if (!unit.empty()) {
    // A billion is B or G.
    const char letter = unit == "B" ? 'G' : unit.front();
    const std::optional<uint64_t> found = scale_of(letter, "KMGT", 1000);
    if (unit.size() != 1 || !found) return std::nullopt;
    scale = *found;
  }
  // "1.5k" counts 1500; "1.5" and "1.0005k" count nothing.
  const size_t dot = digits.find('.');
  if (dot != std::string_view::npos) {
    const size_t decimals = digits.size() - dot - 1;
    uint64_t finest = 1;
    for (size_t i = 0; i < decimals && finest <= scale; ++i) finest *= 10;
    if (finest > scale) return std::nullopt;
  }
  const std::optional<uint64_t> value = scaled(digits, scale, static_cast<uint64_t>(INT64_MAX));
  return value ? std::optional(static_cast<int64_t>(*value)) : std::nullopt;
}

std::string format_bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::array<std::string_view, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024.0;
  size_t unit = 0;
  // 1023.5 and above would be shown as 1024.
  while (value >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  return fmt::format("{} {}", three_digits(value), kUnits[unit]);
}

std::string format_integer(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t place = digits.size(); place > first + 3;) digits.insert(place -= 3, ",");
  return digits;
}

std::string format_count(double value) {
  if (value < 0) return "-" + format_count(-value);
  if (value < 999.5)
    return value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.1f}", value);
  constexpr std::array<std::string_view, 4> kUnits{"k", "M", "B", "T"};
  value /= 1000.0;
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  return fmt::format("{:.1f}{}", value, kUnits[unit]);
}

std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e12) return "unknown";
  if (seconds < 0.0995) return fmt::format("{:.0f} ms", seconds * 1000.0);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  const int64_t minutes = whole / 60;
  if (minutes < 48 * 60) return fmt::format("{} h {} min", minutes / 60, minutes % 60);
  return fmt::format("{} d {} h", minutes / (24 * 60), minutes / 60 % 24);
}

std::string format_moment(double seconds) {
  const auto whole = static_cast<std::time_t>(seconds);
  std::tm parts{};
  localtime_r(&whole, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min);
}

std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known) {
  if (name.size() > kLongestSuggestion) return std::nullopt;
  std::optional<std::string> nearest;
  size_t least = 0;
  for (const std::string& candidate : known) {
    if (candidate.size() > kLongestSuggestion) continue;
    size_t distance = edit_distance(name, candidate);
    // Who stopped in the middle of a word has not mistaken a letter: "--mem" is "--memory", not "--temp".
    if (begins(name, candidate)) distance = std::min<size_t>(distance, 1);
    // A third of the letters may be wrong: "stpes" is "steps", but "seed" is not "epochs".
    if (distance > std::max<size_t>(1, std::max(name.size(), candidate.size()) / 3) &&
        !begins(candidate, name))
      continue;
    if (nearest && distance >= least) continue;
    nearest = candidate;
    least = distance;
  }
  return nearest;
}

}  // namespace martlet

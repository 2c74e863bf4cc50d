#include "models/findings.h"

#include <algorithm>
#include <charconv>
#include <fmt/core.h>

#include "formats/names.h"

namespace martlet::models {
namespace {

constexpr size_t kMostPlaces = 64;
// Longer numbers are no layers.
constexpr size_t kMostDigits = 6;

/// The place of the first part between dots that is a number: [begin, end), or both at the end of the name.
std::pair<size_t, size_t> number_in(std::string_view name) {
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    const bool digits = part.find_first_not_of("0123456789") == std::string_view::npos;
    const bool padded = part.size() > 1 && part.front() == '0';
    if (!part.empty() && part.size() <= kMostDigits && digits && !padded) return {begin, end};
    begin = end + 1;
  }
  return {name.size(), name.size()};
}

/// "3", or "{0..3,7}".
std::string ranges(std::vector<int64_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] <= numbers[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[i]);
    if (numbers[last] > numbers[i]) text += fmt::format("..{}", numbers[last]);
    i = last + 1;
  }
  return numbers.size() > 1 ? "{" + text + "}" : text;
}

}  // namespace

void Findings::add(std::string_view name, std::string_view remark) {
  ++count_;
  const auto [begin, end] = number_in(name);
  const std::string_view before = name.substr(0, begin);
  const std::string_view after = name.substr(end);
  const auto [place, is_new] =
      places_.emplace(fmt::format("{}\n{}\n{}\n{}", before, end > begin, after, remark), groups_.size());
  if (is_new) groups_.push_back({std::string(before), std::string(after), {}, std::string(remark)});
  if (end == begin) return;
  int64_t number = 0;
  std::from_chars(name.data() + begin, name.data() + end, number);
  groups_[place->second].numbers.push_back(number);
}

std::string Findings::to_string() const {
  std::string text;
  const size_t shown = std::min(groups_.size(), kMostPlaces);
  for (size_t i = 0; i < shown; ++i) {
    const Group& group = groups_[i];
    if (i > 0) text += i + 1 == groups_.size() ? " and " : ", ";
    text += formats::in_quotes(group.before + ranges(group.numbers) + group.after);
    if (!group.remark.empty()) text += fmt::format(" ({})", group.remark);
  }
  if (shown < groups_.size()) text += fmt::format(" and {} more", groups_.size() - shown);
  return text;
}

}  // namespace martlet::models

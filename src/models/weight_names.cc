#include "models/weight_names.h"

#include <algorithm>

#include "base/error.h"

namespace martlet::models {
namespace {

constexpr std::string_view kLayers = "layers.";
constexpr std::string_view kExperts = ".experts.";

/// The first `{}` becomes the layer's number, the second the expert's.
std::string with_numbers(std::string_view pattern, std::string_view layer, std::string_view expert) {
  std::string text(pattern);
  size_t from = 0;
  for (const std::string_view number : {layer, expert}) {
    const size_t at = text.find("{}", from);
    if (at == std::string::npos) break;
    text.replace(at, 2, number);
    from = at + number.size();
  }
  return text;
}

/// Takes the name that begins at `begin` out of `path`, "{}" in its place.
std::string take_number(std::string& path, size_t begin) {
  const size_t end = std::min(path.find('.', begin), path.size());
  std::string number = path.substr(begin, end - begin);
  path.replace(begin, end - begin, "{}");
  return number;
}

}  // namespace

std::string NamedWeight::hugging_face() const {
  return with_numbers(entry->hugging_face, layer, expert);
}

std::string NamedWeight::gguf() const {
  return with_numbers(entry->gguf, layer, expert);
}

NamedWeight find_weight_name(const Family& family, std::string_view path) {
  NamedWeight found;
  std::string pattern(path);
  if (path.starts_with(kLayers)) found.layer = take_number(pattern, kLayers.size());
  if (const size_t experts = pattern.find(kExperts); experts != std::string::npos)
    found.expert = take_number(pattern, experts + kExperts.size());
  for (const WeightName& name : family.weights)
    if (name.path == pattern) found.entry = &name;
  return found;
}

bool is_shared(Stored form) {
  return form == Stored::kJoined || form == Stored::kTransposedJoined || form == Stored::kStacked;
}

bool is_transposed(Stored form) {
  return form == Stored::kTransposed || form == Stored::kTransposedJoined;
}

bool comes_before(const NamedWeight& a, const NamedWeight& b) {
  if (a.entry != b.entry) return a.entry < b.entry;
  // Numbers without leading zeros: the shorter one is the smaller.
  if (a.expert.size() != b.expert.size()) return a.expert.size() < b.expert.size();
  return a.expert < b.expert;
}

}  // namespace martlet::models

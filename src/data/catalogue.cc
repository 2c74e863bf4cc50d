#include <array>

#include "base/error.h"
#include "data/source.h"

namespace martlet::data {
namespace {

// The first that accepts a word reads it; text is the last resort.
constexpr std::array kSources{&kTinyworldSource, &kFolderSource, &kPatternSource, &kJsonlSource,
                              &kTextSource};

}  // namespace

std::span<const SourceKind* const> source_kinds() {
  return kSources;
}

std::unique_ptr<DocumentReader> open_source(const std::string& word, bool chosen, const ReadOptions& options,
                                            ReadReport& report) {
  for (const SourceKind* kind : source_kinds())
    if (kind->accepts(word)) return kind->open(word, chosen, options, report);
  bad_input("{}: no source reads this", word);
}

}  // namespace martlet::data

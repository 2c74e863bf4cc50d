#pragma once

// Normalisers: what a tokenizer does to a text before it is cut.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/aligned_text.h"
#include "text/charsmap.h"

namespace martlet::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// False only when `text` certainly comes out unchanged, so that the copy can be saved.
  virtual bool may_change(std::string_view text) const = 0;
  virtual void apply(AlignedText& text) const = 0;
};

/// The `normalizer` of a tokenizer.json; null for a null. `where` names it in errors. To add a kind: a class
/// and one line in the list of normalizers.cc.
std::unique_ptr<Normalizer> read_normalizer(const Json& json, const std::string& where);

/// Puts `prefix` before a text that is not empty.
void prepend(AlignedText& text, std::string_view prefix);

// For tokenizers that are not read from a tokenizer.json.
std::unique_ptr<Normalizer> make_prepend(std::string text);
std::unique_ptr<Normalizer> make_replace(const std::string& from, std::string to);
/// Replaces what the map replaces, grapheme cluster by grapheme cluster.
std::unique_ptr<Normalizer> make_charsmap_normalizer(Charsmap map);
std::unique_ptr<Normalizer> make_sequence(std::vector<std::unique_ptr<Normalizer>> parts);

}  // namespace martlet::text

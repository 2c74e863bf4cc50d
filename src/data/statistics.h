#pragma once

// What a corpus holds, counted in one pass.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "data/encoder.h"
#include "data/source.h"

namespace martlet::data {

struct CorpusStatistics {
  int64_t documents = 0;
  int64_t bytes = 0;                         ///< of their content
  int64_t tokens = 0;                        ///< 0 without a tokenizer
  int64_t duplicates = 0;                    ///< documents whose content came before
  int64_t longest = 0;                       ///< bytes of the longest
  std::map<std::string, int64_t> forms;      ///< documents by form: text, ids, messages
  std::map<std::string, int64_t> languages;  ///< documents by the script of most of their letters
  /// Documents by length: entry k counts those of [2^k, 2^(k+1)) tokens, or bytes without a tokenizer.
  std::array<int64_t, 48> lengths{};
};

/// "Latin", "Han", "Cyrillic", ... by the script that most letters of the text have; "none" without letters.
std::string_view main_script(std::string_view text);

/// Reads everything; with an encoder, tokens are counted. 32 bytes of memory a document, for the duplicates.
CorpusStatistics statistics_of(DocumentReader& reader, const DocumentEncoder* encoder);

}  // namespace martlet::data

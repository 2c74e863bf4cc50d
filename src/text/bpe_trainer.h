#pragma once

// Training of byte-pair encodings: which merges, in which order.
//
// The most frequent pair of neighbours merges, everywhere, again and again; of equally frequent pairs the one
// with the lower ids, left one first (Sennrich, Haddow and Birch, 2016; the order of ties is that of the
// `tokenizers` library, whose results these are). bpe_trainer.cc tells how.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "text/model.h"
#include "text/word_counts.h"

namespace martlet::text {

struct BpeTrainerOptions {
  int64_t vocabulary_size = 32'000;       ///< tokens in all; fewer where the words hold no more pairs
  int64_t least_count = 0;                ///< of a pair that merges
  std::vector<std::string> first_tokens;  ///< special tokens and others that come first, in order
  std::vector<char32_t> alphabet;         ///< characters that become tokens whether words have them or not
  std::optional<int64_t> alphabet_limit;  ///< keeps the most frequent characters; words lose the others
  std::optional<int64_t> longest_token;   ///< characters
  bool bytes = false;                     ///< words are bytes; tokens are written in the byte-level alphabet
};

struct TrainedMerges {
  std::vector<std::string> tokens;  ///< by id: the first tokens, the alphabet by code point, what merges made
  std::vector<MergeRule> merges;
};

/// `words` must be valid UTF-8 unless they are bytes. Takes about 20 bytes for each character of a distinct
/// word and time proportional to these. Progress counts tokens. Throws BadInput when the first tokens and the
/// alphabet exceed the vocabulary, kExhausted when the distinct words have 2^32 characters or more.
TrainedMerges train_byte_pairs(const WordCounts& words, const BpeTrainerOptions& options,
                               Progress& progress = no_progress());

}  // namespace martlet::text

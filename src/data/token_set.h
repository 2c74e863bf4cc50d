#pragma once

// All shards of one data set, as one long list of documents.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/token_shard.h"

namespace martlet::data {

/// A folder of shards with its list, tokens.json, which is written last: without it the folder is not whole.
/// Copies share the mapped files; may be used from several threads at once.
class TokenSet {
 public:
  /// Throws BadInput for a folder without its list, a shard that is missing, damaged or not the one listed.
  static TokenSet open(const std::string& folder);

  int64_t documents() const { return first_document_.back(); }
  int64_t tokens() const { return tokens_; }
  /// Of all its shards' contents.
  Hash128 content_hash() const;
  /// Of all shards: resident once they are read, and given back when memory is short.
  int64_t mapped_bytes() const;
  bool has_mask() const { return has_mask_; }
  /// One more than the greatest id that may occur; 0 when unknown.
  int64_t vocabulary_size() const { return vocabulary_size_; }
  Hash128 vocabulary_hash() const { return vocabulary_hash_; }

  /// Tokens of a document, in [0, documents()).
  int64_t length(int64_t document) const;
  /// Appends tokens [begin, end) of the document.
  void read(int64_t document, int64_t begin, int64_t end, std::vector<int32_t>& ids) const;
  /// Whether training learns to predict this token.
  bool learns(int64_t document, int64_t token) const;

 private:
  struct Place {
    const TokenShard* shard;
    int64_t document;
  };
  Place place(int64_t document) const;

  std::vector<std::shared_ptr<const TokenShard>> shards_;
  std::vector<int64_t> first_document_ = {0};  // of each shard, then their number
  int64_t tokens_ = 0;
  bool has_mask_ = false;
  int64_t vocabulary_size_ = 0;
  Hash128 vocabulary_hash_;
};

/// True when the folder holds a token set's list.
bool is_token_set(const std::string& folder);

/// Hexadecimal, 32 digits, and back (throws BadInput).
std::string text_of(Hash128 hash);
Hash128 hash_of_text(const std::string& text);

constexpr const char* kTokenSetList = "tokens.json";

}  // namespace martlet::data

#pragma once

// One file of token ids, mapped. Layout, all little-endian:
//   header of 88 bytes: magic "MartletT", version, bytes an id (2 or 4), flags (1: has a mask), padding,
//   documents,
//     tokens, vocabulary hash (2 x 8), checksum of what follows the header (2 x 8), checksum of the header
//     before it (2 x 8)
//   document ends, uint64 each: document d is tokens [ends[d-1], ends[d])
//   ids, padded with zeros to 8 bytes
//   mask, where there is one: bit t % 8 of byte t / 8 says whether token t is learnt; padded likewise

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "data/encoder.h"
#include "data/hash128.h"

namespace martlet::data {

/// Read-only; may be used from several threads at once.
class TokenShard {
 public:
  /// Throws BadInput for a file that is cut, damaged, of another version, or inconsistent. Everything is read
  /// once to compare the checksum.
  explicit TokenShard(const std::string& path);

  int64_t documents() const { return static_cast<int64_t>(ends_.size()); }
  int64_t tokens() const { return tokens_; }
  int64_t begin(int64_t document) const {
    return document == 0 ? 0 : static_cast<int64_t>(ends_[static_cast<size_t>(document) - 1]);
  }
  int64_t end(int64_t document) const { return static_cast<int64_t>(ends_[static_cast<size_t>(document)]); }
  bool has_mask() const { return !mask_.empty(); }
  Hash128 vocabulary_hash() const { return vocabulary_hash_; }
  Hash128 checksum() const { return checksum_; }
  int64_t mapped_bytes() const { return static_cast<int64_t>(file_.bytes().size()); }

  int32_t id(int64_t token) const {
    const auto at = static_cast<size_t>(token);
    return wide_.empty() ? narrow_[at] : static_cast<int32_t>(wide_[at]);
  }
  bool learns(int64_t token) const {
    return mask_.empty() || (mask_[static_cast<size_t>(token / 8)] >> (token % 8) & 1) != 0;
  }

 private:
  MappedFile file_;
  std::span<const uint64_t> ends_;
  std::span<const uint16_t> narrow_;
  std::span<const uint32_t> wide_;
  std::span<const uint8_t> mask_;
  int64_t tokens_ = 0;
  Hash128 vocabulary_hash_;
  Hash128 checksum_;
};

/// Gathers documents in memory and writes them whole.
class TokenShardWriter {
 public:
  /// `vocabulary` decides the bytes an id: 2 up to 65,536 tokens, else 4 (and 4 when it is 0, unknown). A
  /// mask is written when some document has one.
  TokenShardWriter(int64_t vocabulary, Hash128 vocabulary_hash);

  void add(const EncodedDocument& document);
  int64_t tokens() const { return static_cast<int64_t>(ends_.empty() ? 0 : ends_.back()); }
  int64_t documents() const { return static_cast<int64_t>(ends_.size()); }
  /// Writes all that was added to `path`, atomically, and begins anew. Gives the checksum.
  Hash128 write(const std::string& path);

 private:
  bool wide_;
  bool with_mask_ = false;
  Hash128 vocabulary_hash_;
  std::vector<uint64_t> ends_;
  std::vector<uint16_t> narrow_ids_;
  std::vector<uint32_t> wide_ids_;
  std::vector<uint8_t> mask_;
};

}  // namespace martlet::data

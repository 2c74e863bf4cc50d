#pragma once

// Post-processors: which special tokens stand around the tokens of a text, and how offsets are trimmed.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace martlet::text {

class PostProcessor {
 public:
  /// A part of the result: the text's tokens, or special tokens.
  struct Part {
    bool is_text = false;
    std::vector<int32_t> ids;  // of special tokens
  };
  /// Only the text.
  PostProcessor() : parts_({{true, {}}}) {}
  explicit PostProcessor(std::vector<Part> parts) : parts_(std::move(parts)) {}

  const std::vector<Part>& parts() const { return parts_; }
  /// Whether offsets leave out white space at both ends of tokens.
  bool trims() const { return trims_; }
  /// Whether the space that pre-tokenization put before the text keeps its offset.
  bool added_prefix_space() const { return added_prefix_space_; }

 private:
  friend PostProcessor read_post_processor(const Json& json, const std::string& where,
                                           int64_t vocabulary_size);

  std::vector<Part> parts_;
  bool trims_ = false;
  bool added_prefix_space_ = false;
};

/// The `post_processor` of a tokenizer.json. Ids must be below `vocabulary_size`. Templates for pairs are
/// checked and not used.
PostProcessor read_post_processor(const Json& json, const std::string& where, int64_t vocabulary_size);

}  // namespace martlet::text

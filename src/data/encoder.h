#pragma once

// Documents to token ids, and which of them training learns.

#include <cstdint>
#include <optional>
#include <vector>

#include "data/document.h"
#include "data/hash128.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace martlet::data {

struct EncodedDocument {
  std::vector<int32_t> ids;
  /// One an id: whether the loss counts where this id is the target. Empty: everywhere.
  std::vector<uint8_t> learns;
};

struct EncodeRules {
  /// In conversations only what the assistant says is learnt: the text of the template's `generation` blocks
  /// or, where it has none, what the rendering with each assistant's message adds to the rendering without
  /// it.
  bool assistant_only = true;
  /// A text ends with the tokenizer's end token, where it has one.
  bool end_token = true;
  /// Ids at or above this are refused; 0: the tokenizer's vocabulary, or no check without a tokenizer.
  int64_t vocabulary = 0;
};

/// Immutable; may be called from several threads at once.
class DocumentEncoder {
 public:
  /// For rows of `ids` alone: without a tokenizer text is an error.
  explicit DocumentEncoder(EncodeRules rules);
  DocumentEncoder(text::Tokenizer tokenizer, std::optional<text::ChatFormat> format, EncodeRules rules = {});

  /// Throws BadInput with the document's place: no tokenizer, no chat template, ids outside the vocabulary,
  /// fewer than two ids in a row that gives ids.
  EncodedDocument encode(const Document& document) const;

  /// Equal for tokenizers that give every id the same token. All zero without a tokenizer.
  Hash128 vocabulary_hash() const { return vocabulary_hash_; }
  /// One more than the greatest id that `encode` may give; 0 when unknown.
  int64_t vocabulary_size() const;
  const EncodeRules& rules() const { return rules_; }

 private:
  EncodedDocument encode_text(const Document& document) const;
  EncodedDocument encode_messages(const Document& document) const;
  std::vector<text::TextSpan> assistant_spans(const Document& document,
                                              const text::ChatTemplate& chat_template,
                                              const text::RenderOptions& options,
                                              const std::string& full) const;
  void check(const EncodedDocument& encoded, const Document& document) const;

  std::optional<text::Tokenizer> tokenizer_;
  std::optional<text::ChatFormat> format_;
  EncodeRules rules_;
  Hash128 vocabulary_hash_;
};

}  // namespace martlet::data

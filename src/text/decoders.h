#pragma once

// Decoders: how tokens become text again.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace martlet::text {

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Rewrites the tokens; what is left is joined. There is at least one token.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
  /// True when tokens are bytes that are simply joined: byte_level_bytes says which.
  virtual bool is_byte_level() const { return false; }
};

using DecoderChain = std::vector<std::unique_ptr<Decoder>>;

/// The `decoder` of a tokenizer.json, in order; for null an empty chain, whose tokens are joined by spaces.
/// To add a kind: a class and one line in the list of decoders.cc.
DecoderChain read_decoders(const Json& json, const std::string& where);

/// The bytes of a token of a byte-level vocabulary: those that its characters stand for, or, when one is not
/// of the alphabet, those of the token itself.
std::string byte_level_bytes(std::string_view token);

std::unique_ptr<Decoder> make_byte_level_decoder();
/// What SentencePiece's vocabularies need: the marked space, bytes, and the space before the text when one
/// was added.
DecoderChain make_sentence_piece_decoders(bool strips_first_space);

}  // namespace martlet::text

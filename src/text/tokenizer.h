#pragma once

// Text to token ids and back, for every tokenizer that a tokenizer.json or a GGUF file describes.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace martlet::text {

struct TokenizerParts;

/// A tokenizer as GGUF metadata gives it (`tokenizer.ggml.*`). Tokens and merges are views of the file, which
/// must stay mapped until the tokenizer is made: a quarter of a million texts are not copied twice.
struct GgufVocabulary {
  std::string model;  ///< "gpt2" or "llama"
  std::string pre;    ///< which expressions cut words, for "gpt2"
  std::vector<std::string_view> tokens;
  std::vector<float> scores;  ///< one a token; for "llama"
  std::vector<int32_t>
      types;  ///< one a token (1 normal, 2 unknown, 3 control, 4 user defined, 6 byte), or empty
  std::vector<std::string_view> merges;  ///< "left right"; for "gpt2"
  std::optional<int64_t> bos, eos, unk, pad;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::string chat_template;
};

struct EncodeOptions {
  bool add_special_tokens =
      true;  ///< put special tokens around the text, as the tokenizer's post-processor says
  bool split_special_tokens = false;  ///< read special tokens that stand in the text as plain text
};

struct DecodeOptions {
  bool skip_special_tokens = false;
};

/// Bytes [begin, end) of the text. Special tokens that were added have (0, 0).
struct Offset {
  int64_t begin = 0;
  int64_t end = 0;
  friend bool operator==(const Offset&, const Offset&) = default;
};

struct Encoding {
  std::vector<int32_t> ids;
  std::vector<Offset> offsets;  ///< one an id
};

/// A tokenizer is immutable: copies share it, and every function may be called from several threads at once.
/// Truncation and padding, which a tokenizer.json may also describe, are the caller's business.
class Tokenizer {
 public:
  /// Reads tokenizer.json, and tokenizer_config.json and special_tokens_map.json where they are, from a
  /// directory. Throws BadInput with the file and the key.
  static Tokenizer load(const std::string& directory);
  /// From the content of a tokenizer.json. `configurations` are tokenizer_config.json or
  /// special_tokens_map.json: the first that names a special token counts. `source` stands before errors.
  static Tokenizer from_json(const Json& tokenizer, const std::string& source,
                             std::span<const Json> configurations = {});
  static Tokenizer from_gguf(const GgufVocabulary& vocabulary);

  /// The ids of `text`. What is not valid UTF-8 counts as U+FFFD. Takes time proportional to the text.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  /// As encode, with the bytes that each token came from.
  Encoding encode_with_offsets(std::string_view text, const EncodeOptions& options = {}) const;
  /// As encode for each text, on all threads.
  std::vector<std::vector<int32_t>> encode_batch(std::span<const std::string> texts,
                                                 const EncodeOptions& options = {}) const;

  /// The text of `ids`: valid UTF-8, with U+FFFD for what is not a whole character. Ids without a token are
  /// passed over.
  std::string decode(std::span<const int32_t> ids, const DecodeOptions& options = {}) const;

  /// The token as the vocabulary writes it. Throws BadInput when `id` has none.
  std::string token(int64_t id) const;
  std::optional<int32_t> id(std::string_view token) const;
  /// One more than the greatest id.
  int64_t vocabulary_size() const;
  bool is_special(int64_t id) const;

  // The ids that the tokenizer's files name, where they do.
  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  std::optional<int32_t> unk() const;
  std::optional<int32_t> pad() const;
  /// The chat template of the tokenizer's files; empty when they have none.
  const std::string& chat_template() const;

 private:
  friend class StreamingDecoder;
  explicit Tokenizer(std::shared_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}

  std::shared_ptr<const TokenizerParts> parts_;
};

/// Offsets in characters (code points) of `text` instead of bytes, as other libraries count.
std::vector<Offset> character_offsets(std::string_view text, std::span<const Offset> offsets);

/// Decodes ids as they come. No piece of text ends within a character; the pieces together are the decoded
/// text, except that a run of byte tokens <0x..> that turns out to be invalid after a whole character of it
/// keeps that character.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(Tokenizer tokenizer, const DecodeOptions& options = {});

  /// Takes the next id; returns the text that is certain now, often empty.
  std::string add(int32_t id);
  /// The text held back, with U+FFFD for an incomplete character; then begins anew.
  std::string finish();

 private:
  std::string add_bytes(int32_t id);
  std::string text_after_context(std::span<const int32_t> ids) const;
  void move_context(size_t count);

  Tokenizer tokenizer_;
  DecodeOptions options_;
  bool by_bytes_;                 // tokens are plain bytes: nothing but an incomplete character is held back
  std::string bytes_;             // then: that character
  std::vector<int32_t> context_;  // else: ids whose text is out, which the next text may depend on
  std::vector<int32_t> pending_;  // and ids whose text is not
};

}  // namespace martlet::text

#pragma once

// Models: what makes tokens of a piece of text.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/aligned_text.h"
#include "text/pair_merger.h"
#include "text/vocabulary.h"

namespace martlet::text {

/// The tokens of recent words: a direct-mapped table of fixed size, an entry a cache line. Most words of a
/// text are few.
class WordCache {
 public:
  static constexpr size_t kLongestWord = 22;  ///< bytes
  static constexpr size_t kMostTokens = 10;

  /// The tokens of `word`, if it is there. `word` has 1 to kLongestWord bytes.
  std::span<const int32_t> find(std::string_view word, uint64_t hash) const;
  /// Keeps the tokens of `word` in place of those that had its entry; nothing when there are too many.
  void keep(std::string_view word, uint64_t hash, std::span<const int32_t> tokens);

 private:
  struct alignas(64) Entry {
    uint8_t length = 0;
    uint8_t count = 0;
    std::array<char, kLongestWord> word;
    std::array<int32_t, kMostTokens> tokens;
  };
  static constexpr size_t kEntries = 1 << 14;  // 1 MiB: stays in the second-level cache

  std::vector<Entry> entries_;
};

/// A state of the search for the best segmentation.
struct BestPath {
  double score = 0;
  uint32_t begin = UINT32_MAX;  ///< of the last token; UINT32_MAX: nothing ends here yet
  int32_t id = -1;
};

/// Memory that one encoding at a time uses, kept from call to call.
struct Workspace {
  WordCache cache;
  MergeScratch merge;
  std::vector<BestPath> paths;
};

/// Where a model puts its tokens.
struct TokenList {
  std::vector<int32_t>& ids;
  std::vector<Span>* spans;  ///< bytes of the piece that each token came from; null when nobody asks
};

class Model {
 public:
  virtual ~Model() = default;
  /// Appends the tokens of `piece`, which is not empty and shorter than 4 GiB.
  void encode(std::string_view piece, Workspace& workspace, TokenList& out) const;
  /// True when a token's text is what stands in the piece, even where the vocabulary says otherwise.
  virtual bool tokens_are_text() const { return false; }

 protected:
  /// Appends the tokens of `piece`, which is not in the cache.
  virtual void encode_piece(std::string_view piece, Workspace& workspace, TokenList& out) const = 0;
  /// True when encode_piece looks into the cache itself.
  virtual bool caches_parts() const { return false; }

  /// Runs `encode_part(part)` unless the cache has its tokens.
  template <typename EncodePart>
  static void cached(std::string_view part, Workspace& workspace, TokenList& out, EncodePart&& encode_part) {
    // Spans are not cached: who asks for offsets has time.
    if (part.size() > WordCache::kLongestWord || out.spans != nullptr) return encode_part(part);
    const uint64_t hash = hash_bytes(part);
    const std::span<const int32_t> known = workspace.cache.find(part, hash);
    if (!known.empty()) {
      out.ids.insert(out.ids.end(), known.begin(), known.end());
      return;
    }
    const size_t before = out.ids.size();
    encode_part(part);
    workspace.cache.keep(part, hash, std::span<const int32_t>(out.ids).subspan(before));
  }
};

// The vocabulary must outlive the model.

struct BytePairOptions {
  int32_t unknown = Vocabulary::kNone;  ///< what stands for a character without a token; kNone: nothing
  std::string missing_unknown;          ///< a token named for that but absent: an error when it is needed
  bool fuse_unknown = false;            ///< neighbouring unknown characters become one token
  bool byte_fallback = false;           ///< unknown characters become tokens <0x..> of their bytes
  bool whole_words = false;             ///< a piece that is a token stays whole, whatever the merges say
  bool bytes = false;                   ///< pieces are bytes, tokens are written in the byte-level alphabet
  bool first_merge_counts = false;      ///< of equal ones, as GGUF has it; else the last
  std::string prefix;                   ///< of every character but the first
  std::string suffix;                   ///< of the last character
};
struct MergeRule {
  int32_t left;
  int32_t right;
  int32_t merged;
};
/// Byte-pair encoding by a list of merges, first ones first.
std::unique_ptr<Model> make_byte_pair_model(const Vocabulary& vocabulary, std::vector<MergeRule> merges,
                                            BytePairOptions options);

/// SentencePiece's byte-pair encoding: two neighbours merge when their text is a token, the best score first;
/// characters without a token become bytes <0x..>, or `unknown`. One score a token id.
std::unique_ptr<Model> make_score_merge_model(const Vocabulary& vocabulary, std::span<const float> scores,
                                              int32_t unknown);

struct UnigramOptions {
  int32_t unknown = Vocabulary::kNone;
  bool byte_fallback = false;
};
/// The segmentation with the greatest sum of scores (Kudo, "Subword Regularization", 2018). One score a token
/// id.
std::unique_ptr<Model> make_unigram_model(const Vocabulary& vocabulary, std::vector<double> scores,
                                          UnigramOptions options);

struct WordPieceOptions {
  std::string unknown_token = "[UNK]";
  std::string prefix = "##";   ///< of tokens within a word
  int64_t longest_word = 100;  ///< characters; longer words are unknown
};
/// The longest token first, from left to right (Schuster and Nakajima, 2012).
std::unique_ptr<Model> make_word_piece_model(const Vocabulary& vocabulary, WordPieceOptions options);

/// A token a piece.
std::unique_ptr<Model> make_word_level_model(const Vocabulary& vocabulary, std::string unknown_token);

}  // namespace martlet::text

#pragma once

// Token sets to training steps: packing, order, mixing, and a position that a few integers hold.

#include <cstdint>
#include <span>
#include <vector>

#include "base/json.h"
#include "data/permutation.h"
#include "data/token_set.h"
#include "nn/batch.h"

namespace martlet::data {

/// The target of a place that no loss counts.
constexpr int32_t kIgnoredTarget = -100;

/// One step: sequences one after another, without padding. Attention stays within a sequence, whose positions
/// begin at 0.
struct TrainingBatch {
  std::vector<int32_t> ids;      ///< [tokens]
  std::vector<int32_t> targets;  ///< [tokens]: the id that follows, or kIgnoredTarget
  std::vector<int32_t> starts;   ///< [sequences + 1]: where each sequence begins, then the number of tokens
  int64_t target_count = 0;      ///< targets that are not ignored

  bool empty() const { return ids.empty(); }
};

/// The sequences as models take them.
nn::Batch batch_of(const TrainingBatch& batch);

enum class Pack {
  /// A step is filled with pieces of documents, at most `seq` tokens each, to at most batch * seq tokens. A
  /// document
  /// is cut only when it is longer than `seq`; together its pieces have every token but the first as target
  /// once.
  kDocuments,
  /// A row is one document, cut to seq + 1 ids; a step has `batch` rows.
  kNone
};
enum class Order {
  kShuffle,    ///< a new permutation every epoch, keyed by seed, source and epoch
  kSequential  ///< as the documents stand
};

struct BatchOptions {
  int64_t seq = 256;
  int64_t batch = 8;
  Pack pack = Pack::kDocuments;
  Order order = Order::kShuffle;
  uint64_t seed = 1;
  int64_t epochs = 0;  ///< passes over each source; 0: without end
};

/// From `step` on each source is drawn with this weight, until the next entry.
struct MixingStep {
  int64_t step = 0;
  std::vector<double> weights;  ///< one a source, not all 0
};

/// Where reading goes on: all that a checkpoint needs.
struct BatchPosition {
  struct Source {
    int64_t epoch = 0;
    int64_t next = 0;  ///< pieces (or documents) taken of this epoch
    friend bool operator==(const Source&, const Source&) = default;
  };
  int64_t step = 0;
  int64_t drawn = 0;  ///< choices of a source made
  std::vector<Source> sources;
  friend bool operator==(const BatchPosition&, const BatchPosition&) = default;

  Json to_json() const;
  /// Throws BadInput.
  static BatchPosition from_json(const Json& json);
};

/// The pieces of a token set's documents by number, found with an index of one number per 64 documents.
class PieceIndex {
 public:
  struct Piece {
    int64_t document;
    int64_t begin;  ///< its first input token; targets reach one further
    int64_t end;
  };
  /// `longest` input tokens in a piece; `whole`: one piece a document, the rest of it left out.
  PieceIndex(const TokenSet& tokens, int64_t longest, bool whole);

  int64_t count() const { return before_.back(); }
  Piece piece(int64_t index) const;
  size_t bytes() const { return before_.size() * sizeof(int64_t); }

 private:
  int64_t pieces_of(int64_t document) const;

  TokenSet tokens_;
  int64_t longest_;
  bool whole_;
  std::vector<int64_t> before_;  // pieces before document 64 i; at last, all
};

class Batches {
 public:
  /// `mixing` empty: each source as often as it has pieces, so that all are through an epoch together. Throws
  /// kUsage for options out of range, BadInput for sources without anything to learn.
  Batches(std::vector<TokenSet> sources, BatchOptions options, std::vector<MixingStep> mixing = {});

  /// The next step; empty when all epochs are over.
  TrainingBatch next();

  const BatchPosition& position() const { return position_; }
  /// Goes on from a position of the same sources and options: what follows is what followed there. Throws
  /// BadInput for a position that these sources cannot have.
  void seek(const BatchPosition& position);

  /// Pieces of one epoch over all sources: sequences that training sees.
  int64_t sequences_per_epoch() const;
  const BatchOptions& options() const { return options_; }
  /// Of the contents of all sources, in their order.
  Hash128 content_hash() const;
  /// What the sources take: their shards, mapped, their indexes, and the most that a step of `batches`
  /// batches has of ids, targets and starts. Nothing is read ahead.
  int64_t memory_bytes(int64_t batches) const;

 private:
  struct Source {
    TokenSet tokens;
    PieceIndex pieces;
    Permutation permutation;
    int64_t permuted_epoch;
  };

  size_t choose_source() const;
  bool exhausted(size_t source) const;
  PieceIndex::Piece upcoming(size_t source);
  void advance(size_t source);
  bool append(size_t source, const PieceIndex::Piece& piece, TrainingBatch& batch) const;

  std::vector<Source> sources_;
  BatchOptions options_;
  std::vector<MixingStep> mixing_;
  BatchPosition position_;
};

}  // namespace martlet::data

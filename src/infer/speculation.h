#pragma once

// Speculation: tokens are guessed, and one forward reads all guesses at once instead of one token after
// another. Every token is still chosen from the scores that it would have had without, so that guesses change
// the time, never a token. Leviathan et al., "Fast Inference from Transformers via Speculative Decoding",
// 2023; here a guess is kept when it equals the token that is drawn, which keeps the draw itself.

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "infer/kv_cache.h"
#include "nn/roles.h"

namespace martlet::infer {

/// Guesses what comes next in one sequence.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// At most `most` guesses of what follows `ids`: prompt and reply, which only grow from call to call.
  /// `read`: what the model that is guessed for has read of them, their beginning; as it was, afterwards.
  virtual std::vector<int32_t> draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) = 0;
};

/// What followed the last few tokens when they stood in the text before. Saxena, "Prompt Lookup Decoding",
/// 2023.
class NgramDrafter final : public Drafter {
 public:
  std::vector<int32_t> draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) override;

 private:
  static constexpr size_t kShortest = 2;
  static constexpr size_t kLongest = 5;

  /// Where the text went on after the same last tokens, the longest run of them first; 0: nowhere.
  size_t continuation(std::span<const int32_t> ids) const;

  size_t known_ = 0;                                          // ids whose runs are in the tables
  std::unordered_map<uint64_t, size_t> after_[kLongest + 1];  // run of n tokens -> position behind it
};

/// What a smaller model of the same vocabulary says.
class ModelDrafter final : public Drafter {
 public:
  explicit ModelDrafter(nn::Model& model)
      : model_(model), cache_(model.shape().layers, model.shape().lead_positions) {}
  std::vector<int32_t> draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) override;

 private:
  nn::Model& model_;
  GrowingKvCache cache_;
  std::vector<int32_t> read_;
};

/// What the model's own first layers say when its head follows at once: they go on from the keys and values
/// that they have of the text. Elhoushi et al., "LayerSkip: Enabling Early Exit Inference and
/// Self-Speculative Decoding", 2024.
class EarlyDrafter final : public Drafter {
 public:
  /// nn::DecoderModel::first_layers of the model that is guessed for.
  explicit EarlyDrafter(nn::Model& first_layers) : model_(first_layers) {}
  std::vector<int32_t> draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) override;

 private:
  nn::Model& model_;
};

/// How many guesses pay, from what forwards took and how often guesses held. Guessing stops where it costs
/// more than it gains: the time lost stays under a fiftieth of the whole.
class DraftLength {
 public:
  explicit DraftLength(int64_t most) : most_(most) {}

  /// Guesses to make for each of `sequences` that run together; 0: none.
  int64_t choose(int64_t sequences) const;

  struct Forward {
    int64_t sequences = 0;
    int64_t drafted = 0;   ///< guesses, of all sequences
    int64_t accepted = 0;  ///< that held
    int64_t refuted = 0;   ///< sequences whose guesses did not all hold
    double guessing = 0;   ///< seconds
    double reading = 0;
  };
  void learn(const Forward& forward);

 private:
  static constexpr double kFirstHeld = 0.7;

  int64_t most_;
  double token_seconds_ = 0;  // of one sequence in a forward without guesses; 0: not known yet
  double guess_seconds_ = 0;  // what a guess costs, and adds to a forward
  double held_ = kFirstHeld;  // of guesses that were looked at
  double spent_ = 0;
  double gained_ = 0;
  double whole_ = 0;
};

}  // namespace martlet::infer

#pragma once

// Speculation: tokens are guessed, and one forward reads all guesses at once instead of one token after
// another. Every token is still chosen from the scores that it would have had without, so that guesses change
// the time, never a token. Leviathan et al., "Fast Inference from Transformers via Speculative Decoding",
// 2023; here a guess is kept when it equals the token that is drawn, which keeps the draw itself.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "infer/kv_cache.h"
#include "nn/roles.h"

namespace martlet::infer {

struct Draft {
  std::vector<int32_t> ids;
  std::vector<double> chances = {};  ///< of each to hold where those before it did; empty: not known
};

/// Guesses what comes next in one sequence.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// Called once, before the first draft. It may take as long as reading the prompt does, which is held
  /// against no guess.
  virtual void begin(std::span<const int32_t>) {}
  /// At most `most` guesses of what follows `ids`: prompt and reply, which only grow from call to call.
  /// `read`: what the model that is guessed for has read of them, their beginning; as it was, afterwards.
  virtual Draft draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) = 0;
  /// Whether guesses cost nothing to make: then all are made, and their chances say how many are read.
  virtual bool is_free() const { return false; }
};

/// What a smaller model of the same vocabulary says.
class ModelDrafter final : public Drafter {
 public:
  explicit ModelDrafter(nn::Model& model)
      : model_(model), cache_(model.shape().layers, model.shape().lead_positions) {}
  void begin(std::span<const int32_t> prompt) override;
  Draft draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) override;

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
  Draft draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) override;

 private:
  nn::Model& model_;
};

/// How many guesses pay, from what forwards took and how often guesses held. Guessing stops where it costs
/// more than it gains: the time lost stays under a fiftieth of the whole, but for what a drafter reads first.
class DraftLength {
 public:
  explicit DraftLength(int64_t most) : most_(most) {}

  /// Guesses to read for one of `sequences` that run together, 0: none. `chances`: of the guesses that there
  /// are; empty: they are not made yet.
  int64_t choose(int64_t sequences, std::span<const double> chances = {}) const;

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
  double guess_seconds_ = 0;  // what a guess costs, and adds to a forward: of late, `extra_` / `read_`
  double extra_ = 0;
  double read_ = 0;
  int64_t plain_ = 0;         // forwards without guesses
  double held_ = kFirstHeld;  // of guesses that were looked at
  double spent_ = 0;
  double gained_ = 0;
  double whole_ = 0;
};

}  // namespace martlet::infer

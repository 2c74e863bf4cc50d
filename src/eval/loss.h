#pragma once

// The loss of a language model on texts: the mean negative log-likelihood of a token given those before it.

#include <cstdint>
#include <span>
#include <vector>

#include "base/progress.h"
#include "nn/roles.h"

namespace martlet::eval {

struct LossOptions {
  /// Tokens that a window reads at most; 0 takes the model's context, but no more than kDefaultWindow, since
  /// attention's cost grows with the square.
  int64_t window = 0;
};
constexpr int64_t kDefaultWindow = 4096;

struct TextLoss {
  double loss = 0;     ///< in nats a target
  int64_t tokens = 0;  ///< targets
  double perplexity() const;
};

/// The window that `options` mean for a model of this shape. Throws kUsage for one longer than the context.
int64_t window_of(const nn::ModelShape& shape, const LossOptions& options);

/// Each text is cut into windows of `window` ids; every id but a text's first is a target once, given the ids
/// of its window before it (the first target of a later window sees one id). Scores are computed and left
/// again a few rows at a time, so that those of a long window never lie in memory whole. Losses are added in
/// double, first to last: the result depends on texts and window alone. Throws BadInput when there is no
/// target or an id is outside the vocabulary, kInterrupted when a stop was requested.
TextLoss text_loss(nn::Model& model, std::span<const std::vector<int32_t>> texts,
                   const LossOptions& options = {}, Progress& progress = no_progress());

}  // namespace martlet::eval

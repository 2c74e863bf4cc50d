#pragma once

// Perplexity over windows as llama.cpp's tool of that name takes it, and how far one model's predictions lie
// from another's on the same windows.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/progress.h"
#include "nn/roles.h"

namespace martlet::eval {

struct PerplexityOptions {
  int64_t context = 512;  ///< ids a window; even, at least 4
  std::optional<int32_t> begin =
      {};                    ///< takes the place of each window's first id, where texts begin with one
  int64_t most_windows = 0;  ///< only so many, the first; 0: all
};

/// The text is cut into windows of `context` ids without overlap, what is left over at the end dropped. Each
/// window is read by itself, and the targets are the ids of its second half, which all have at least half a
/// window before them: those at context/2 + 1 .. context - 1.
struct Perplexity {
  double loss = 0;        ///< mean negative log-likelihood of a target, in nats
  double loss_error = 0;  ///< its standard error, targets taken as independent
  int64_t tokens = 0;     ///< targets
  int64_t windows = 0;
  double perplexity() const;
  double perplexity_error() const;  ///< perplexity * loss_error
};

/// How `other` differs from a first model P over all targets' positions.
struct Divergence {
  double kl = 0;        ///< mean KL(P || other) of the whole distributions, in nats
  double kl_error = 0;  ///< its standard error
  double greatest_kl = 0;
  double same_top = 0;  ///< share of positions where both find the same token likeliest
  double same_top_error = 0;
  double more_loss = 0;        ///< mean loss of `other` less that of P: the logarithm of the perplexities' ratio
  double more_loss_error = 0;  ///< its standard error, which is small: both saw the same targets
};

struct Comparison {
  Perplexity first;
  Perplexity other;
  Divergence divergence;
};

/// Throws BadInput when the text has no whole window or an id is outside the vocabulary, kUsage for a context
/// that the model does not have, kInterrupted when a stop was requested. Sums are taken first to last in
/// double: the result depends on model, ids and options alone.
Perplexity perplexity(nn::Model& model, std::span<const int32_t> ids, const PerplexityOptions& options = {},
                      Progress& progress = no_progress());
/// Both models over the same windows. Throws as above, and BadInput with both sizes for another vocabulary.
Comparison compare(nn::Model& first, nn::Model& other, std::span<const int32_t> ids,
                   const PerplexityOptions& options = {}, Progress& progress = no_progress());

}  // namespace martlet::eval

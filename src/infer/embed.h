#pragma once

// Texts as vectors: the hidden states of a model, pooled to one row a text.

#include <span>
#include <vector>

#include "base/progress.h"
#include "nn/roles.h"

namespace martlet::infer {

enum class Pooling : uint8_t {
  kMean,  ///< over all tokens. Reimers and Gurevych, "Sentence-BERT", 2019
  kFirst  ///< the first token's: [CLS] of a bidirectional encoder. Devlin et al., "BERT", 2019
};

struct EmbedOptions {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;  ///< to length 1; a row of zeros stays as it is
  int64_t batch = 16;      ///< texts that run together
};

/// One row a text: [texts, hidden] f32. The bits of a row do not depend on the other texts, nor on `batch`.
/// Throws BadInput for a text without tokens or longer than the context; kInterrupted.
Tensor embed(nn::Model& model, std::span<const std::vector<int32_t>> texts, const EmbedOptions& options = {},
             Progress& progress = no_progress());

}  // namespace martlet::infer

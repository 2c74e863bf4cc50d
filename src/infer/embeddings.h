#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nn/roles.h"

namespace martlet::infer {

/// How the hidden states of a sequence become one vector.
enum class Pooling : uint8_t {
  kMean,  ///< their mean (Reimers and Gurevych, "Sentence-BERT", 2019)
  kFirst  ///< that of the first token, which BERT calls [CLS]
};

/// One vector a sequence: [sequences, hidden] f32. A sequence's vector does not depend on the others. Throws
/// BadInput for an empty sequence, an id outside the vocabulary, or more ids than positions.
Tensor embeddings(nn::Model& model, std::span<const std::vector<int32_t>> sequences, Pooling pooling);

}  // namespace martlet::infer

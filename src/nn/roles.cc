#include "nn/roles.h"

#include "ops/cross_entropy.h"

namespace martlet::nn {

Tensor Model::loss(const Tensor& hidden, const Tensor& targets, int64_t ignored) {
  return ops::cross_entropy(logits(hidden), targets, ops::LossReduction::kMean, ignored);
}

}  // namespace martlet::nn

#include "nn/roles.h"

#include "autograd/record.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/cross_entropy.h"
#include "ops/unary.h"

namespace martlet::nn {

void Linear::add_to(Tensor& sum, const Tensor& x) {
  ops::add_in_place(sum, forward(x));
}

void TokenMixer::add_normed_to(Tensor& sum, Norm& norm, const Batch& batch) {
  ops::add_in_place(sum, forward(norm.forward(sum), batch));
}

Tensor TokenMixer::forward_last(const Tensor& x, const Batch& batch) {
  return last_rows(forward(x, batch), batch);
}

void FeedForward::add_normed_to(Tensor& sum, Norm& norm) {
  ops::add_in_place(sum, forward(norm.forward(sum)));
}

Tensor Linear::cross_entropy(const Tensor& x, const Tensor& targets, int64_t ignored, float logit_scale) {
  Tensor logits = forward(x);
  if (logit_scale != 1) ops::scale_in_place(logits, logit_scale);
  return ops::cross_entropy(logits, targets, ops::LossReduction::kMean, ignored);
}

Tensor Norm::forward_as(const Tensor& x, DType result) {
  return ops::cast(forward(x), result);
}

Tensor Block::forward_last(Tensor x, const Batch& batch) {
  return last_rows(forward(std::move(x), batch), batch);
}

Tensor Model::last_hidden(const Batch& batch) {
  const autograd::NoGradient running;
  return last_rows(hidden(batch), batch);
}

Tensor Model::loss(const Tensor& hidden, const Tensor& targets, int64_t ignored) {
  return ops::cross_entropy(logits(hidden), targets, ops::LossReduction::kMean, ignored);
}

}  // namespace martlet::nn

#include "nn/reordered_linear.h"

#include "ops/gather.h"
#include "ops/linear.h"
#include "ops/scatter.h"

namespace martlet::nn {

ReorderedLinear::ReorderedLinear(Tensor order, int64_t out_features, bool has_bias)
    : weight(*this, "weight", {out_features, order.dim(0)}), order_(std::move(order)) {
  if (has_bias) bias.emplace(*this, "bias", Shape{out_features});
}

Tensor ReorderedLinear::forward(const Tensor& x) {
  const Tensor order = order_.to(x.device());
  return ops::linear(ops::index_select(x, -1, order), weight.weight(), bias ? bias->tensor() : Tensor());
}

std::vector<std::pair<std::string, Tensor>> ReorderedLinear::plain_parameters() const {
  Tensor columns = Tensor::zeros(weight.shape(), DType::kF32);
  ops::index_add_in_place(columns, 1, order_, weight.weight().to(Device::kCpu).unpack());
  std::vector<std::pair<std::string, Tensor>> plain{{"weight", columns}};
  if (bias) plain.emplace_back("bias", bias->tensor());
  return plain;
}

}  // namespace martlet::nn

#include "nn/reordered_linear.h"

#include <gtest/gtest.h>

#include "nn/layers.h"
#include "ops/gather.h"

namespace martlet::nn {
namespace {

TEST(ReorderedLinear, ComputesWhatThePlainLayerWithItsPlainParametersDoes) {
  std::vector<int32_t> order(64);
  for (int32_t i = 0; i < 64; ++i) order[static_cast<size_t>(i)] = (i * 37 + 11) % 64;
  ReorderedLinear reordered(Tensor::from(order, {64}), 24, true);
  std::vector<float> weight(24 * 64), x(3 * 64), bias(24);
  // Small integers, so that sums in any order are exact.
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<float>(i * i % 13) - 6;
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7 % 11) - 5;
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i);
  reordered.weight.set(Tensor::from(weight, {24, 64}));
  reordered.bias->set(Tensor::from(bias, {24}));
  AffineLinear plain(64, 24, true);
  for (const auto& [name, tensor] : reordered.plain_parameters()) {
    if (name == "weight") {
      plain.weight.set(tensor);
      EXPECT_EQ(ops::index_select(tensor, 1, Tensor::from(order, {64})).to_vector<float>(), weight);
    }
    if (name == "bias") plain.bias->set(tensor);
  }
  const Tensor input = Tensor::from(x, {3, 64});
  EXPECT_EQ(reordered.forward(input).to_vector<float>(), plain.forward(input).to_vector<float>());
}

}  // namespace
}  // namespace martlet::nn

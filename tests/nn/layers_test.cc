// What layers do in one pass gives the bits of what they do in two.
#include "nn/layers.h"

#include <bit>
#include <gtest/gtest.h>

#include "base/random.h"
#include "nn/decoder.h"
#include "nn/tree.h"
#include "ops/binary.h"
#include "ops/packed_format.h"

namespace martlet::nn {
namespace {

Tensor drawn(const Shape& shape, uint64_t seed) {
  const Philox random(seed, 3);
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i) * 0.3);
  return Tensor::from(values, shape);
}

std::vector<uint32_t> bits_of(const Tensor& x) {
  std::vector<uint32_t> bits;
  for (const float value : x.to_vector<float>()) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

ops::Weight interleaved(const Tensor& values) {
  const ops::PackedFormat& format = *ops::find_packed_format("q8_0");
  const int64_t rows = values.dim(0), columns = values.dim(1);
  const Tensor bytes = Tensor::empty({rows, format.row_bytes(columns)}, DType::kU8);
  format.pack(values.data<float>(), nullptr, rows * columns / format.block_elements,
              bytes.mutable_host_bytes());
  return ops::Weight(format, bytes, columns).interleaved();
}

/// Parameters from a seed: matrices packed and interleaved where that is asked for, or dense.
void fill(Module& module, uint64_t seed, bool packed) {
  walk_parameters(module, [&](const std::string&, Parameter& parameter) {
    const Tensor values = drawn(parameter.shape(), ++seed);
    if (packed && parameter.shape().rank() == 2)
      parameter.set(interleaved(values));
    else
      parameter.set(values);
  });
}

/// Gives what another one gives, and is no projection: what a rewrite puts in a linear layer's place.
class Wrapped final : public Linear {
 public:
  explicit Wrapped(std::shared_ptr<Linear> linear) : inner(*this, std::string(kWrapped), std::move(linear)) {}
  std::string_view kind() const override { return "Wrapped"; }
  Tensor forward(const Tensor& x) override { return inner->forward(x); }
  int64_t in_features() const override { return inner->in_features(); }
  int64_t out_features() const override { return inner->out_features(); }
  Child<Linear> inner;
};

/// A norm that says nothing of itself: what a rewrite puts in a norm's place.
class WrappedNorm final : public Norm {
 public:
  explicit WrappedNorm(std::shared_ptr<Norm> norm) : inner(*this, std::string(kWrapped), std::move(norm)) {}
  std::string_view kind() const override { return "WrappedNorm"; }
  Tensor forward(const Tensor& x) override {
    ++calls;
    return inner->forward(x);
  }
  Child<Norm> inner;
  int calls = 0;
};

constexpr int64_t kHidden = 64;

std::shared_ptr<Attention> attention() {
  const AttentionShape shape{.hidden_size = kHidden,
                             .heads = 4,
                             .key_value_heads = 2,
                             .head_dim = 32,
                             .qkv_bias = true,
                             .output_bias = true};
  return std::make_shared<Attention>(
      shape, nullptr, std::make_shared<SoftmaxAttention>(0, ops::AttentionOptions{.scale = 0.2f}));
}

class AddTo : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(DenseAndInterleaved, AddTo, ::testing::Bool());

TEST_P(AddTo, LinearLayersAddWhatTheyGive) {
  for (const bool has_bias : {false, true}) {
    const auto linear = std::make_shared<AffineLinear>(kHidden, 48, has_bias);
    fill(*linear, 1, GetParam());
    ASSERT_TRUE(linear->projection().has_value());
    EXPECT_FALSE(Wrapped(linear).projection().has_value());
    for (const int64_t tokens : {1, 30}) {
      const Tensor x = drawn({tokens, kHidden}, 5), before = drawn({tokens, 48}, 6);
      Tensor expected = before.clone(), sum = before.clone(), wrapped_sum = before.clone();
      ops::add_in_place(expected, linear->forward(x));
      linear->add_to(sum, x);
      Wrapped(linear).add_to(wrapped_sum, x);
      EXPECT_EQ(bits_of(sum), bits_of(expected));
      EXPECT_EQ(bits_of(wrapped_sum), bits_of(expected));
    }
  }
}

TEST_P(AddTo, FeedForwardsAddWhatTheyGiveOfANorm) {
  const auto gated = std::make_shared<GatedFeedForward>(kHidden, 96, ops::Unary::kSilu, true);
  const auto plain = std::make_shared<PlainFeedForward>(kHidden, 96, ops::Unary::kGelu, true);
  const auto rms = std::make_shared<RmsNorm>(kHidden, 1e-5, 1.0f);
  const auto layer = std::make_shared<LayerNorm>(kHidden, 1e-5);
  fill(*rms, 30, false);
  fill(*layer, 31, false);
  EXPECT_TRUE(rms->rms_norm().has_value());
  for (const std::shared_ptr<FeedForward>& module :
       {std::shared_ptr<FeedForward>(gated), std::shared_ptr<FeedForward>(plain)}) {
    fill(*module, 20, GetParam());
    for (const std::shared_ptr<Norm>& norm : {std::shared_ptr<Norm>(rms), std::shared_ptr<Norm>(layer),
                                              std::shared_ptr<Norm>(std::make_shared<WrappedNorm>(rms))})
      for (const int64_t tokens : {1, 30}) {
        const Tensor before = drawn({tokens, kHidden}, 8);
        Tensor expected = before.clone(), sum = before.clone();
        ops::add_in_place(expected, module->forward(norm->forward(before)));
        module->add_normed_to(sum, *norm);
        EXPECT_EQ(bits_of(sum), bits_of(expected)) << module->kind() << " of " << norm->kind();
      }
  }
}

/// A block's x after it, by its parts one after another.
Tensor by_parts(DecoderBlock& block, Tensor x, const Batch& batch) {
  ops::add_in_place(x, block.attention->forward(block.attention_norm->forward(x), batch));
  ops::add_in_place(x, block.feed_forward->forward(block.feed_forward_norm->forward(x)));
  return x;
}

TEST_P(AddTo, ABlockGivesTheBitsOfItsPartsWhateverStandsInALinearPlace) {
  DecoderBlock block(std::make_shared<RmsNorm>(kHidden, 1e-5), attention(),
                     std::make_shared<RmsNorm>(kHidden, 1e-5),
                     std::make_shared<GatedFeedForward>(kHidden, 96, ops::Unary::kSilu, false));
  fill(block, 40, GetParam());
  const std::vector<int32_t> ids(9);
  Batch batch;
  batch.add(ids);
  const Tensor x = drawn({9, kHidden}, 9);
  const std::vector<uint32_t> expected = bits_of(by_parts(block, x.clone(), batch));
  EXPECT_NE(expected, bits_of(x));
  EXPECT_EQ(bits_of(block.forward(x.clone(), batch)), expected);
  auto& mixer = dynamic_cast<Attention&>(*block.attention);
  auto& fed = dynamic_cast<GatedFeedForward&>(*block.feed_forward);
  for (Child<Linear>* place : {&mixer.k_proj, &mixer.o_proj, &fed.up_proj, &fed.down_proj}) {
    place->set(std::make_shared<Wrapped>(place->get()));
    EXPECT_EQ(bits_of(block.forward(x.clone(), batch)), expected) << place->name();
  }
}

TEST_P(AddTo, ABlockTakesWhateverStandsInANormsPlace) {
  DecoderBlock block(std::make_shared<RmsNorm>(kHidden, 1e-5), attention(),
                     std::make_shared<RmsNorm>(kHidden, 1e-5, 1.0f),
                     std::make_shared<GatedFeedForward>(kHidden, 96, ops::Unary::kSilu, false));
  fill(block, 60, GetParam());
  for (const int64_t tokens : {1, 30}) {
    const std::vector<int32_t> ids(static_cast<size_t>(tokens));
    Batch batch;
    batch.add(ids);
    const Tensor x = drawn({tokens, kHidden}, 10);
    const std::vector<uint32_t> expected = bits_of(by_parts(block, x.clone(), batch));
    EXPECT_EQ(bits_of(block.forward(x.clone(), batch)), expected);
    for (Child<Norm>* place : {&block.attention_norm, &block.feed_forward_norm}) {
      const std::shared_ptr<Norm> before = place->get();
      const auto wrapped = std::make_shared<WrappedNorm>(before);
      place->set(wrapped);
      EXPECT_EQ(bits_of(block.forward(x.clone(), batch)), expected) << place->name();
      EXPECT_EQ(wrapped->calls, 1) << place->name();
      const auto layer_norm = std::make_shared<LayerNorm>(kHidden, 1e-5);
      fill(*layer_norm, 61, false);
      place->set(layer_norm);
      EXPECT_EQ(bits_of(block.forward(x.clone(), batch)), bits_of(by_parts(block, x.clone(), batch)))
          << place->name();
      place->set(before);
    }
  }
}

}  // namespace
}  // namespace martlet::nn

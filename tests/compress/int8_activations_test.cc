#include "compress/int8_activations.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "nn/apply_rewrite.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "ops/linear.h"
#include "ops/packed/interleaved.h"
#include "support/random_model.h"

namespace martlet::compress {
namespace {

/// Numbers of a seed, one after another.
class Draws {
 public:
  explicit Draws(uint64_t seed) : random_(seed) {}
  Tensor normal(const Shape& shape) {
    std::vector<float> values(static_cast<size_t>(shape.element_count()));
    for (float& value : values) value = static_cast<float>(random_.normal(next_++));
    return Tensor::from(values, shape);
  }
  /// Of drawn bytes; any two of them are a finite f16.
  ops::Weight q4_0(int64_t rows, int64_t columns) {
    const ops::PackedFormat& format = *ops::find_packed_format("q4_0");
    std::vector<uint8_t> bytes(static_cast<size_t>(rows * format.row_bytes(columns)));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_.below(next_++, 0x7c));
    return ops::Weight(format, Tensor::from(bytes, {rows, format.row_bytes(columns)}), columns);
  }

 private:
  Philox random_;
  uint64_t next_ = 0;
};

std::vector<float> values_of(const Tensor& tensor) {
  return tensor.to_vector<float>();
}

constexpr const nn::Rewrite* kOnly[] = {&kInt8Activations};

nn::RewriteRequest everywhere() {
  return {"int8_activations", Json::parse(R"({"pattern": "**"})", "test")};
}

/// up_proj holds q4_0 and down_proj f32.
std::shared_ptr<nn::PlainFeedForward> feed_forward(Draws& draws) {
  auto module = std::make_shared<nn::PlainFeedForward>(64, 96, ops::Unary::kRelu, false);
  auto& up = dynamic_cast<nn::AffineLinear&>(*module->up_proj);
  auto& down = dynamic_cast<nn::AffineLinear&>(*module->down_proj);
  up.weight.set(draws.q4_0(96, 64));
  down.weight.set(draws.normal({64, 96}));
  return module;
}

const ops::Weight& up_weight(const nn::PlainFeedForward& module) {
  return dynamic_cast<const nn::AffineLinear&>(*module.up_proj).weight.weight();
}

TEST(Int8Activations, RearrangesPackedWeightsAlone) {
  Draws draws(1);
  const auto module = feed_forward(draws);
  const Tensor before = up_weight(*module).unpack();
  nn::RewriteHistory history;
  nn::apply_rewrite(module, everywhere(), kOnly, history);
  EXPECT_EQ(history.back().changed, std::vector<std::string>{"up_proj"});
  EXPECT_EQ(history.back().to_string(), "int8_activations pattern=** fine=lm_head: 1 module");
  EXPECT_TRUE(up_weight(*module).is_interleaved());
  EXPECT_EQ(values_of(up_weight(*module).unpack()), values_of(before));
}

TEST(Int8Activations, ComputesWhatLinearSaysOfSuchAWeight) {
  Draws draws(2);
  const auto module = feed_forward(draws);
  const ops::Weight plain = up_weight(*module);
  const Tensor x = draws.normal({3, 64});
  nn::RewriteHistory history;
  nn::apply_rewrite(module, everywhere(), kOnly, history);
  EXPECT_EQ(values_of(module->up_proj->forward(x)), values_of(ops::linear(x, plain.interleaved())));
  EXPECT_NE(values_of(module->up_proj->forward(x)), values_of(ops::linear(x, plain)));
}

TEST(Int8Activations, LeavesOutWhatThePatternDoes) {
  Draws draws(3);
  const auto module = feed_forward(draws);
  nn::RewriteHistory history;
  nn::apply_rewrite(module, {"int8_activations", Json::parse(R"({"pattern": "down_proj"})", "test")}, kOnly,
                    history);
  EXPECT_TRUE(history.back().changed.empty());
  EXPECT_FALSE(up_weight(*module).is_interleaved());
  EXPECT_THROW(
      nn::apply_rewrite(module, {"int8_activations", Json::parse(R"({"pattern": "no.such"})", "test")}, kOnly,
                        history),
      Error);
}

TEST(Int8Activations, GivesTheHeadTwoCodesUnlessAsked) {
  Draws draws(5);
  const auto model = martlet::testing::random_llama(2);
  const auto linear_at = [&](const char* path) {
    return std::dynamic_pointer_cast<nn::AffineLinear>(nn::module_at(*model, path));
  };
  const auto head = linear_at("lm_head");
  const auto inner = linear_at("layers.0.feed_forward.up_proj");
  for (const auto& linear : {head, inner})
    linear->weight.set(draws.q4_0(linear->out_features(), linear->in_features()));
  nn::RewriteHistory history;
  const ops::Weight plain = head->weight.weight();
  const auto codes = [](const nn::AffineLinear& linear) {
    const ops::Weight& weight = linear.weight.weight();
    return weight.is_interleaved() ? weight.interleaved_format().activation_codes : 0;
  };
  nn::apply_rewrite(model, {"int8_activations"}, kOnly, history);
  EXPECT_EQ(codes(*inner), 1);
  EXPECT_EQ(codes(*head), 2);
  head->weight.set(plain);
  nn::apply_rewrite(model, {"int8_activations", Json::parse(R"({"fine": "no.such"})", "test")}, kOnly,
                    history);
  EXPECT_EQ(codes(*head), 0);
  nn::apply_rewrite(model, everywhere(), kOnly, history);
  EXPECT_EQ(codes(*head), 1);
}

TEST(Int8Activations, PartsOfAWeightAreThoseOfTheWhole) {
  Draws draws(6);
  for (const int64_t rows : {16, 40, 96, 100}) {
    auto module = std::make_shared<nn::PlainFeedForward>(64, rows, ops::Unary::kRelu, false);
    const ops::Weight plain = draws.q4_0(rows, 64);
    dynamic_cast<nn::AffineLinear&>(*module->up_proj).weight.set(plain);
    const std::vector<uint8_t> whole = plain.interleaved().storage().to_vector<uint8_t>();
    const int64_t groups = (rows + ops::kGroupRows - 1) / ops::kGroupRows;
    for (int64_t step = 1; step <= groups; ++step) {
      std::vector<int64_t> told;
      nn::ApplyOptions how;
      how.forget = [&](const Tensor& replaced) {
        EXPECT_EQ(replaced.host_bytes(), plain.storage().host_bytes()) << "from the first row on";
        told.push_back(replaced.dim(0));
      };
      how.make = [&](std::span<const nn::MadeWeight> weights) {
        ASSERT_EQ(weights.size(), 1u);
        const nn::MadeWeight& weight = weights[0];
        EXPECT_EQ(weight.unit_bytes * groups, weight.byte_count);
        for (int64_t begin = 0; begin < groups; begin += step) {
          const int64_t count = std::min(step, groups - begin);
          const Tensor part = Tensor::empty({count * weight.unit_bytes}, DType::kU8);
          weight.make(part, begin * weight.unit_bytes);
          const auto from = whole.begin() + begin * weight.unit_bytes;
          EXPECT_EQ(part.to_vector<uint8_t>(), std::vector<uint8_t>(from, from + part.byte_count()));
          EXPECT_EQ(told.back(), std::min(rows, (begin + count) * ops::kGroupRows)) << "rows that are done";
        }
      };
      nn::RewriteHistory history;
      nn::apply_rewrite(module, everywhere(), kOnly, history, how);
      EXPECT_EQ(static_cast<int64_t>(told.size()), (groups + step - 1) / step);
    }
  }
}

TEST(Int8Activations, TellsOfTheBytesThatItReplaced) {
  Draws draws(4);
  const auto module = feed_forward(draws);
  const std::byte* held = up_weight(*module).storage().host_bytes();
  std::vector<const std::byte*> told;
  nn::RewriteHistory history;
  nn::apply_rewrite(module, everywhere(), kOnly, history,
                    {nullptr, {}, [&](const Tensor& replaced) { told.push_back(replaced.host_bytes()); }});
  EXPECT_EQ(told, std::vector<const std::byte*>{held});
}

}  // namespace
}  // namespace martlet::compress

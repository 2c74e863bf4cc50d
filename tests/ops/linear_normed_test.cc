// Products of a norm have the bits of the norm, then the products; and where they can, no norm is written.
#include <array>

#include "autograd/backward.h"
#include "autograd/leaf.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/activation.h"
#include "ops/binary.h"
#include "ops/interleaved_testing.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "ops/rms_norm.h"
#include "tensor/allocator.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::drawn_columns;
using testing::drawn_weight;
using testing::Draws;
using testing::for_every_form;
using testing::Form;
using ::testing::HasSubstr;
using testing::message_of;

class LinearNormedTest : public testing::OpTest {};

Tensor normed(const Tensor& x, const RmsNormParameters& norm) {
  return rms_norm(x, norm.weight, norm.eps, norm.weight_offset);
}

/// Norms as families have them: of every dtype, with Gemma's offset, without a weight.
std::vector<RmsNormParameters> norms(Draws& draws, int64_t columns) {
  return {{draws.dense({columns}, DType::kF32), 1e-5f},
          {draws.dense({columns}, DType::kBF16), 1e-6f, 1},
          {draws.any_layout({columns}, DType::kF16), 0.1f},
          {{}, 1e-5f},
          {{}, 1e-5f, 1}};
}

TEST_F(LinearNormedTest, ProductsOfANormAreTheNormThenTheProducts) {
  for_every_form(20, [](Draws& draws, const Form& form) {
    for (const int64_t tokens : {1, 5, 24, 25, 70}) {
      const int64_t rows = draws.between(1, 60), columns = drawn_columns(draws, form.format);
      const Weight first = form.drawn(draws, rows, columns), second = form.drawn(draws, rows, columns);
      const Tensor x = draws.dense({tokens, columns}, DType::kF32, 3),
                   bias = draws.dense({rows}, DType::kF32);
      for (const RmsNormParameters& norm : norms(draws, columns))
        at_every_level([&] {
          SCOPED_TRACE(fmt::format("{} tokens, {} rows, {} columns", tokens, rows, columns));
          const Tensor one = linear(normed(x, norm), first, bias), other = linear(normed(x, norm), second);
          const std::vector<Tensor> both =
              linear_together(x, std::array<Projection, 2>{{{&first, bias}, {&second}}}, norm);
          EXPECT_EQ(bits_of(both[0]), bits_of(one));
          EXPECT_EQ(bits_of(both[1]), bits_of(other));
          EXPECT_EQ(bits_of(gated_linear(Unary::kSilu, x, {&first, bias}, {&second}, norm)),
                    bits_of(gated(Unary::kSilu, one, other)));
        });
    }
  });
}

TEST_F(LinearNormedTest, RowsThatThreadsShareAndSlicesThatFollowEachOtherHaveTheBitsOfEachAlone) {
  Draws draws(21);
  const Weight weight = drawn_weight(draws, *find_packed_format("q4_k"), 33, 4096).interleaved();
  const Weight other = drawn_weight(draws, *find_packed_format("q6_k"), 20, 4096).interleaved();
  const Tensor x = draws.dense({90, 4096}, DType::kF32);
  const RmsNormParameters norm{draws.dense({4096}, DType::kF32), 1e-5f};
  const std::array<Projection, 2> projections{{{&weight}, {&other}}};
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    const std::vector<Tensor> all = linear_together(x, projections, norm);
    for (const int64_t row : {0, 1, 44, 89}) {
      const std::vector<Tensor> alone = linear_together(x.slice(0, row, row + 1), projections, norm);
      for (size_t i = 0; i < 2; ++i)
        EXPECT_EQ(bits_of(alone[i]), bits_of(all[i].slice(0, row, row + 1))) << row;
    }
  }
}

TEST_F(LinearNormedTest, OfInterleavedWeightsNoNormIsWritten) {
  Draws draws(22);
  const Weight gate = drawn_weight(draws, *find_packed_format("q4_0"), 16, 4096).interleaved();
  const Weight up = drawn_weight(draws, *find_packed_format("q4_0"), 16, 4096).interleaved();
  const Tensor x = draws.dense({64, 4096}, DType::kF32);
  const RmsNormParameters norm{draws.dense({4096}, DType::kF32), 1e-5f};
  const auto taken = [](const auto& product) {
    reset_memory_peaks(Device::kCpu);
    const int64_t before = total_memory_use(Device::kCpu).now;
    product();
    return total_memory_use(Device::kCpu).peak - before;
  };
  EXPECT_GT(taken([&] { normed(x, norm); }), x.byte_count() - 1);
  EXPECT_LT(taken([&] { linear_together(x, std::array<Projection, 1>{{{&gate}}}, norm); }), x.byte_count());
  EXPECT_LT(taken([&] { gated_linear(Unary::kSilu, x, {&gate}, {&up}, norm); }), x.byte_count());
}

TEST_F(LinearNormedTest, WhereAWeightIsPlainOrXIsElsewhereTheNormStandsBefore) {
  Draws draws(23);
  const Weight packed = drawn_weight(draws, *find_packed_format("q8_0"), 40, 64).interleaved();
  const Weight plain = drawn_weight(draws, *find_packed_format("q8_0"), 40, 64);
  const Tensor x = draws.dense({3, 64}, DType::kF32);
  const RmsNormParameters norm{draws.dense({64}, DType::kF32), 1e-5f};
  const auto expect_plain = [](const Tensor& values, const Weight& one, const Weight& two,
                               const RmsNormParameters& by) {
    const std::vector<Tensor> both = linear_together(values, std::array<Projection, 2>{{{&one}, {&two}}}, by);
    const Tensor gated_both = gated_linear(Unary::kSilu, values, {&one}, {&two}, by);
    const Tensor first = linear(normed(values, by), one), second = linear(normed(values, by), two);
    EXPECT_EQ(bits_of(both[0].to(Device::kCpu)), bits_of(first.to(Device::kCpu)));
    EXPECT_EQ(bits_of(both[1].to(Device::kCpu)), bits_of(second.to(Device::kCpu)));
    EXPECT_EQ(bits_of(gated_both.to(Device::kCpu)),
              bits_of(gated(Unary::kSilu, first, second).to(Device::kCpu)));
  };
  expect_plain(x, packed, plain, norm);
  expect_plain(draws.dense({3, 64}, DType::kBF16), packed, packed, norm);
  expect_plain(draws.dense({64, 3}, DType::kF32).transpose(0, 1), packed, packed, norm);
  const Device reference = Device::kReference;
  expect_plain(x.to(reference), packed.to(reference), packed.to(reference),
               {norm.weight.to(reference), 1e-5f, 1});
  EXPECT_THAT(message_of([&] {
                linear_together(x, std::array<Projection, 1>{{{&packed}}},
                                RmsNormParameters{draws.dense({32}, DType::kF32), 1e-5f});
              }),
              HasSubstr("rms_norm"));
}

TEST_F(LinearNormedTest, WhereAGradientIsRecordedItIsThatOfTheNormAndTheProducts) {
  Draws draws(24);
  const Weight gate = drawn_weight(draws, *find_packed_format("q4_0"), 32, 64).interleaved();
  const Weight up = drawn_weight(draws, *find_packed_format("q4_0"), 32, 64).interleaved();
  const Tensor x = draws.dense({30, 64}, DType::kF32), values = draws.dense({64}, DType::kF32);
  const auto gradient_by = [&](const auto& product) {
    Tensor weight = values.clone();
    autograd::require_gradient(weight);
    autograd::backward(sum(product(RmsNormParameters{weight, 1e-5f})));
    return bits_of(autograd::gradient_of(weight));
  };
  EXPECT_EQ(gradient_by([&](const RmsNormParameters& norm) {
              return gated_linear(Unary::kSilu, x, {&gate}, {&up}, norm);
            }),
            gradient_by([&](const RmsNormParameters& norm) {
              const Tensor y = normed(x, norm);
              return gated(Unary::kSilu, linear(y, gate), linear(y, up));
            }));
}

}  // namespace
}  // namespace martlet::ops

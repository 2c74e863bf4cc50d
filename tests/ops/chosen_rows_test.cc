#include "ops/chosen_rows.h"

#include "base/thread_pool.h"
#include "ops/op_testing.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::Draws;
using ::testing::HasSubstr;
using testing::message_of;

class ChosenRows : public testing::OpTest {};

/// Half of them zero.
Tensor sparse(Draws& draws, const Shape& shape) {
  std::vector<float> values = draws.dense(shape, DType::kF32).to_vector<float>();
  for (float& value : values)
    if (draws.below(2) == 0) value = 0;
  return Tensor::from(values, shape);
}

struct Case {
  Tensor x, chosen;
  Weight weight;
};

Case random_case(uint64_t seed) {
  Draws draws(seed);
  const int64_t tokens = draws.between(1, 5), rows = draws.between(1, 70), columns = draws.between(1, 600);
  const DType dtype = seed % 3 == 0 ? DType::kF32 : seed % 3 == 1 ? DType::kBF16 : DType::kF16;
  return {draws.dense({tokens, columns}, DType::kF32), sparse(draws, {tokens, rows}),
          Weight(draws.dense({rows, columns}, dtype))};
}

TEST_F(ChosenRows, AgreeWithTheReferenceForEveryTypeAndInstructionSet) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    const Case subject = random_case(seed);
    const Weight there = subject.weight.to(Device::kReference);
    const Tensor chosen = subject.chosen.to(Device::kReference);
    const Tensor products = products_where(subject.x.to(Device::kReference), there, chosen).to(Device::kCpu);
    const Tensor sums = sum_of_rows(chosen, there).to(Device::kCpu);
    at_every_level([&] {
      testing::expect_close(products_where(subject.x, subject.weight, subject.chosen), products,
                            {1e-6, 1e-5});
      testing::expect_close(sum_of_rows(subject.chosen, subject.weight), sums, {1e-6, 1e-5});
    });
  }
}

TEST_F(ChosenRows, ATokenHasTheSameBitsAloneAndOnAnyNumberOfThreads) {
  for (uint64_t seed = 50; seed < 60; ++seed) {
    const Case subject = random_case(seed);
    set_thread_count(4);
    const Tensor products = products_where(subject.x, subject.weight, subject.chosen);
    const Tensor sums = sum_of_rows(subject.chosen, subject.weight);
    set_thread_count(1);
    for (int64_t token = 0; token < subject.x.dim(0); ++token) {
      const Tensor chosen = subject.chosen.slice(0, token, token + 1);
      const Tensor x = subject.x.slice(0, token, token + 1);
      EXPECT_EQ(bits_of(products_where(x, subject.weight, chosen)),
                bits_of(products.slice(0, token, token + 1)));
      EXPECT_EQ(bits_of(sum_of_rows(chosen, subject.weight)), bits_of(sums.slice(0, token, token + 1)));
    }
  }
}

TEST_F(ChosenRows, RowsThatNobodyChoosesAreNotRead) {
  Draws draws(3);
  std::vector<float> weight = draws.dense({4, 8}, DType::kF32).to_vector<float>();
  for (int i = 8; i < 16; ++i) weight[static_cast<size_t>(i)] = std::numeric_limits<float>::quiet_NaN();
  const Weight rows(Tensor::from(weight, {4, 8}));
  const Tensor chosen = Tensor::from(std::vector<float>{1, 0, 2, 3}, {1, 4});
  for (const float value : sum_of_rows(chosen, rows).to_vector<float>()) EXPECT_FALSE(std::isnan(value));
  const std::vector<float> products =
      products_where(draws.dense({1, 8}, DType::kF32), rows, chosen).to_vector<float>();
  EXPECT_EQ(products[1], 0);
}

TEST_F(ChosenRows, SayWhatDoesNotFit) {
  Draws draws(4);
  const Weight rows(draws.dense({4, 8}, DType::kF32));
  EXPECT_THAT(message_of([&] {
                sum_of_rows(Tensor::zeros({1, 5}, DType::kF32), rows);
              }),
              HasSubstr("f32[tokens, 4]"));
  EXPECT_THAT(message_of([&] {
                products_where(Tensor::zeros({1, 7}, DType::kF32), rows, Tensor::zeros({1, 4}, DType::kF32));
              }),
              HasSubstr("f32[1, 8]"));
}

}  // namespace
}  // namespace martlet::ops

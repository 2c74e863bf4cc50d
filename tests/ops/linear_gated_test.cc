// Two products joined by a gate have the bits of the gate of both products.
#include "autograd/backward.h"
#include "autograd/leaf.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/activation.h"
#include "ops/binary.h"
#include "ops/interleaved_testing.h"
#include "ops/linear.h"
#include "ops/reduce.h"

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

class LinearGatedTest : public testing::OpTest {};

TEST_F(LinearGatedTest, AGatedProductIsTheGateOfBothProducts) {
  for_every_form(9, [](Draws& draws, const Form& form) {
    for (const int64_t tokens : {1, 24, 25, 70}) {
      const int64_t rows = draws.between(1, 90), columns = drawn_columns(draws, form.format);
      const Weight gate = form.drawn(draws, rows, columns), up = form.drawn(draws, rows, columns);
      const Tensor x = draws.dense({tokens, columns}, DType::kF32);
      for (const Tensor& bias : {Tensor(), draws.dense({rows}, DType::kF32)})
        for (const Unary activation : {Unary::kSilu, Unary::kGeluTanh}) {
          at_every_level([&] {
            SCOPED_TRACE(fmt::format("{} tokens, {} rows, {} columns", tokens, rows, columns));
            const Tensor one = linear(x, gate, bias), other = linear(x, up);
            EXPECT_EQ(bits_of(gated_linear(activation, x, {&gate, bias}, {&up})),
                      bits_of(gated(activation, one, other)));
            EXPECT_EQ(bits_of(gated_linear(activation, x, {&up}, {&gate, bias})),
                      bits_of(gated(activation, other, one)));
          });
        }
    }
  });
}

TEST_F(LinearGatedTest, AGateOfManyRowsInSeveralBlocksHasTheBitsOfEachAlone) {
  Draws draws(10);
  const PackedFormat& format = *find_packed_format("q4_k");
  const Weight gate = drawn_weight(draws, format, 33, 4096).interleaved();
  const Weight up = drawn_weight(draws, format, 33, 4096).interleaved();
  const Tensor x = draws.dense({300, 4096}, DType::kF32);
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    const Tensor y = gated_linear(Unary::kSilu, x, {&gate}, {&up});
    for (const int64_t row : {0, 1, 127, 128, 255, 299})
      EXPECT_EQ(bits_of(gated_linear(Unary::kSilu, x.slice(0, row, row + 1), {&gate}, {&up})),
                bits_of(y.slice(0, row, row + 1)));
  }
}

TEST_F(LinearGatedTest, AGateOfTwoFormatsOrOfOneThatIsPlainIsTheGateOfBothProducts) {
  Draws draws(11);
  const Weight gate = drawn_weight(draws, *find_packed_format("q4_k"), 40, 512).interleaved();
  const Weight six_bits = drawn_weight(draws, *find_packed_format("q6_k"), 40, 512).interleaved();
  const Weight plain = drawn_weight(draws, *find_packed_format("q8_0"), 40, 512);
  const Weight narrow = drawn_weight(draws, *find_packed_format("q4_k"), 24, 512).interleaved();
  const Tensor x = draws.dense({30, 512}, DType::kF32);
  for (const Weight* up : {&six_bits, &plain})
    EXPECT_EQ(bits_of(gated_linear(Unary::kGelu, x, {&gate}, {up})),
              bits_of(gated(Unary::kGelu, linear(x, gate), linear(x, *up))));
  EXPECT_THAT(message_of([&] { gated_linear(Unary::kSilu, x, {&gate}, {&narrow}); }), HasSubstr("[30, 24]"));
  EXPECT_THAT(message_of([&] { gated_linear(Unary::kPower, x, {&gate}, {&gate}); }), HasSubstr("power"));
}

TEST_F(LinearGatedTest, AGateWhereAGradientIsRecordedHasThatOfBothProducts) {
  Draws draws(12);
  const Weight gate = drawn_weight(draws, *find_packed_format("q4_0"), 32, 64).interleaved();
  const Weight up = drawn_weight(draws, *find_packed_format("q4_0"), 32, 64).interleaved();
  const Tensor values = draws.dense({30, 64}, DType::kF32);
  const auto gradient_by = [&](const auto& product) {
    Tensor x = values.clone();
    autograd::require_gradient(x);
    autograd::backward(sum(product(x)));
    return bits_of(autograd::gradient_of(x));
  };
  EXPECT_EQ(
      gradient_by([&](const Tensor& x) { return gated_linear(Unary::kSilu, x, {&gate}, {&up}); }),
      gradient_by([&](const Tensor& x) { return gated(Unary::kSilu, linear(x, gate), linear(x, up)); }));
}

}  // namespace
}  // namespace martlet::ops

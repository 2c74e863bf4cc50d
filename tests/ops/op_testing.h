#pragma once

// What every operation's test does: inputs drawn from a seed in many layouts, the cpu device at every
// instruction set against the reference device, one thread against two, a row alone against the row among
// others.

#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "base/random.h"
#include "ops/cpu_features.h"
#include "ops/weight.h"
#include "tensor/tensor.h"

namespace martlet::ops::testing {

/// Draws one number after another from a seed.
class Draws {
 public:
  explicit Draws(uint64_t seed) : random_(seed) {}
  int64_t below(int64_t bound) {
    return static_cast<int64_t>(random_.below(next_++, static_cast<uint64_t>(bound)));
  }
  int64_t between(int64_t least, int64_t most) { return least + below(most - least + 1); }
  float normal() { return static_cast<float>(random_.normal(next_++)); }

  /// Dense. Floating: normal times `scale`; integers: -100..100 (0..200 for u8), bool.
  Tensor dense(const Shape& shape, DType dtype, float scale = 1);
  /// The same in some layout: dense, transposed, a slice with offset and step, or broadcast along a
  /// dimension.
  Tensor any_layout(const Shape& shape, DType dtype, float scale = 1);

 private:
  Philox random_;
  uint64_t next_ = 0;
};

/// Rows of drawn bytes; any two of them are a finite f16.
Weight drawn_weight(Draws& draws, const PackedFormat& format, int64_t rows, int64_t columns);

inline constexpr DType kFloating[] = {DType::kF32, DType::kBF16, DType::kF16};
inline constexpr DType kIntegers[] = {DType::kI64, DType::kI32, DType::kI8, DType::kU8};

/// Restores instruction sets and threads when a test ends.
class OpTest : public ::testing::Test {
 protected:
  ~OpTest() override;
};

/// Runs `body` with every instruction set that the machine has, named in failures.
void at_every_level(const std::function<void()>& body);

/// The elements as bytes in row-major order.
std::vector<std::byte> bits_of(const Tensor& tensor);

/// The elements of any dtype in row-major order.
std::vector<double> as_doubles(const Tensor& tensor);

/// Absolute and relative error allowed before the result's own rounding to bf16 or f16.
struct Tolerance {
  double relative = 1e-6;
  double absolute = 1e-6;
};
void expect_close(const Tensor& actual, const Tensor& expected, const Tolerance& tolerance);

using Operation = std::function<Tensor(const std::vector<Tensor>&)>;

/// cpu against reference at every instruction set; AVX2 and AVX-512, dense copies of the inputs, and one
/// thread and two give the same bits. `levels_agree`: not where a processor's own instruction for pairs of
/// bf16 adds in another order.
void expect_contract(const std::vector<Tensor>& inputs, const Operation& operation,
                     const Tolerance& tolerance = {}, bool levels_agree = true);

/// Each row of dimension 0 of x alone has the bits it has among the others, at every instruction set.
void expect_rows_independent(const Tensor& x, const std::function<Tensor(const Tensor&)>& operation);

/// The message of the Error that `body` throws; empty when it throws none.
std::string message_of(const std::function<void()>& body);

}  // namespace martlet::ops::testing

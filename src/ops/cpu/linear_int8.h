#pragma once

// Products of interleaved weights with activations rounded to one int8 code or two, on the CPU.

#include <span>

#include "base/function_ref.h"
#include "ops/cpu/weight_product.h"

namespace martlet::ops::cpu {

/// Activations that weights are read for front to back: decoding, several sequences of it, guesses.
inline constexpr int64_t kFewTokens = 24;

/// All products, of interleaved weights on kCpu; x has the columns of every weight. x is rounded once for all
/// that want it in the same form, and the threads are called once for all together.
void multiply_int8(const ActivationRows& x, std::span<const WeightProduct> products);

/// first = what becomes of `count` elements of two products that stand in the same places.
using Int8Join = FunctionRef<void(float* first, const float* second, int64_t count)>;

/// y of the first = join(x W^T + bias of the first, that of the second), neither written by itself. The two
/// have as many rows and one interleaved format, x more tokens than kFewTokens, and nothing is added to y.
void multiply_int8_joined(const ActivationRows& x, std::span<const WeightProduct, 2> products, Int8Join join);

/// Bytes of a packed weight when it is interleaved; 0 where `Weight::interleaved` would leave it as it is.
int64_t interleaved_bytes(const Weight& weight);
/// As `Weight::interleaved`, sixteen rows (kGroupRows) to a group: groups from `begin` on into `bytes`, u8
/// with whole groups of them.
void interleave_groups(const Weight& weight, int64_t begin, const Tensor& bytes);
/// The interleaved form of such a weight, interleaved itself by now or not, from all that `interleave_groups`
/// wrote, which may be read-only. It will be multiplied by activations of one code or of two.
Weight interleaved_from(const Weight& weight, const Tensor& bytes, int activation_codes = 1);

/// Rows of an interleaved weight as f32: row begin + i to out + i * columns.
void unpack_interleaved_rows(const Weight& weight, int64_t begin, int64_t end, float* out);

}  // namespace martlet::ops::cpu

#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

enum class Reduction : uint8_t { kSum, kMean, kMaximum, kMinimum };
std::string_view name_of(Reduction reduction);

/// Over the dimensions `dims` (all of them when empty), which go away, or stay as 1 with `keep`.
///
/// Sum and mean: x f32, bf16 or f16; sums are f32 lanes over blocks and double over blocks, in the order of
/// ops/cpu/row_kernels.h over the reduced elements in row-major order, whatever the layout, the other
/// dimensions or the threads; rounded once. The sum of integers is i64 and wraps. Maximum and minimum: any of
/// these dtypes, at least one element, NaN where there is one. The mean of nothing is NaN.
Tensor reduce(Reduction reduction, const Tensor& x, std::span<const int> dims, bool keep = false);
/// Without the results, which are few.
Cost reduce_cost(const Shape& x, DType dtype);

inline Tensor sum(const Tensor& x, std::initializer_list<int> dims = {}, bool keep = false) {
  return reduce(Reduction::kSum, x, std::span<const int>(dims.begin(), dims.size()), keep);
}
inline Tensor mean(const Tensor& x, std::initializer_list<int> dims = {}, bool keep = false) {
  return reduce(Reduction::kMean, x, std::span<const int>(dims.begin(), dims.size()), keep);
}
inline Tensor maximum_of(const Tensor& x, std::initializer_list<int> dims = {}, bool keep = false) {
  return reduce(Reduction::kMaximum, x, std::span<const int>(dims.begin(), dims.size()), keep);
}
inline Tensor minimum_of(const Tensor& x, std::initializer_list<int> dims = {}, bool keep = false) {
  return reduce(Reduction::kMinimum, x, std::span<const int>(dims.begin(), dims.size()), keep);
}

}  // namespace martlet::ops

#pragma once

#include <span>
#include <vector>

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// The parts one after another along `dim`. Equal dtypes, devices and other sizes; any dtype and layout; at
/// least one part. Result: dense.
Tensor concat(std::span<const Tensor> parts, int dim);
inline Tensor concat(const std::vector<Tensor>& parts, int dim) {
  return concat(std::span<const Tensor>(parts), dim);
}
Cost concat_cost(std::span<const Tensor> parts);

/// Views of `sizes[0]`, `sizes[1]`, ... elements of `dim`, which must add up to its size.
std::vector<Tensor> split(const Tensor& x, std::span<const int64_t> sizes, int dim);
inline std::vector<Tensor> split(const Tensor& x, std::initializer_list<int64_t> sizes, int dim) {
  return split(x, std::span<const int64_t>(sizes.begin(), sizes.size()), dim);
}

}  // namespace martlet::ops

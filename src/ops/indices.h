#pragma once

#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace martlet::ops {

/// The elements of an index tensor (i32 or i64, any device and layout) in row-major order.
std::vector<int64_t> indices_of(std::string_view operation, const Tensor& index);
/// The same; throws naming the operation and the place of the first that is outside [0, size). In a dry run,
/// which computes none, all are 0.
std::vector<int64_t> checked_indices(std::string_view operation, const Tensor& index, int64_t size);

}  // namespace martlet::ops

#pragma once

#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace martlet::ops {

/// The number of a target that takes no part in a loss.
inline constexpr int64_t kIgnoredClass = -1;

/// The elements of `targets` (i32 or i64), `ignore_index` as kIgnoredClass. Throws naming the operation and
/// the place of the first that is neither in [0, classes) nor ignored.
std::vector<int64_t> checked_targets(std::string_view operation, const Tensor& targets, int64_t classes,
                                     int64_t ignore_index);

}  // namespace martlet::ops

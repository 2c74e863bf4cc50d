#include "ops/cpu/rms_rows.h"

#include <cmath>

#include "ops/cpu/row_access.h"

namespace martlet::ops::cpu {
namespace {

/// weight + offset as f32 next to each other, in `storage` where they are not so already.
const float* prepared_weight(const RowKernels& rows, const RmsNormParameters& norm, int64_t length,
                             std::vector<float>& storage) {
  const bool given = norm.weight.defined();
  if (norm.weight_offset == 0) return given ? read_parameter(rows, norm.weight, storage) : nullptr;
  if (!given) {
    storage.assign(static_cast<size_t>(length), 1.0f + norm.weight_offset);
    return storage.data();
  }
  const float* values = read_parameter(rows, norm.weight, storage);
  storage.resize(static_cast<size_t>(length));
  rows.unary({Unary::kShift, norm.weight_offset}, values, storage.data(), length);
  return storage.data();
}

}  // namespace

RmsRows::RmsRows(const RmsNormParameters& norm, int64_t length)
    : length_(length),
      eps_(static_cast<double>(norm.eps)),
      weight_(prepared_weight(kernels_, norm, length, storage_)) {}

float RmsRows::scale(const float* row) const {
  const double mean = kernels_.sum_of_squares(row, 0.0f, length_) / static_cast<double>(length_);
  return static_cast<float>(1 / std::sqrt(mean + eps_));
}

}  // namespace martlet::ops::cpu

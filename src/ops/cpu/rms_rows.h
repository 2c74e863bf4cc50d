#pragma once

// The RMS norm of rows of f32 (ops/rms_norm.h), for whoever normalises a row where it is used.

#include <vector>

#include "ops/cpu/row_kernels.h"
#include "ops/rms_norm.h"

namespace martlet::ops::cpu {

class RmsRows {
 public:
  /// Rows have `length` elements; the norm's weight is on kCpu.
  RmsRows(const RmsNormParameters& norm, int64_t length);
  RmsRows(const RmsRows&) = delete;
  RmsRows& operator=(const RmsRows&) = delete;

  /// 1 / sqrt(mean(row^2) + eps).
  float scale(const float* row) const;
  /// y = `count` elements of a row's norm, from element `begin` on; x: these elements of the row, which may
  /// be y. In parts a row has the bits that it has at once.
  void normalise(const float* x, float scale, int64_t begin, int64_t count, float* y) const {
    kernels_.normalise(x, 0.0f, scale, weight_ == nullptr ? nullptr : weight_ + begin, nullptr, y, count);
  }

 private:
  const RowKernels& kernels_ = row_kernels();
  int64_t length_;
  double eps_;
  std::vector<float> storage_;
  const float* weight_;  ///< with its offset, next to each other; null for "all ones"
};

}  // namespace martlet::ops::cpu

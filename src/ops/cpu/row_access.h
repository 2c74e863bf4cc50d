#pragma once

// Elements of any dtype and stride as rows of f32 (or of int64, for integers), and back.

#include <vector>

#include "ops/cpu/row_kernels.h"
#include "tensor/tensor.h"

namespace martlet::ops::cpu {

/// `count` elements that start at `from`, `stride` elements apart, as f32: where they are when they are f32
/// next to each other, else converted into `buffer`.
const float* read_floats(const RowKernels& rows, DType dtype, const std::byte* from, int64_t stride,
                         int64_t count, float* buffer);

/// All elements of a one-dimensional tensor as f32 next to each other: where they are, or in `storage`.
const float* read_parameter(const RowKernels& rows, const Tensor& parameter, std::vector<float>& storage);

/// Where to compute f32 that go to `to`: there, or in `buffer`.
inline float* place_for(DType dtype, std::byte* to, int64_t stride, float* buffer) {
  return dtype == DType::kF32 && stride == 1 ? reinterpret_cast<float*>(to) : buffer;
}
/// Rounds what was computed at `place_for` (nearest even; integers saturate, NaN gives 0, bool is "not
/// zero").
void write_floats(const RowKernels& rows, const float* from, int64_t count, DType dtype, std::byte* to,
                  int64_t stride);

/// Integers and bool as int64, into `buffer`; and back, keeping the lower bits.
void read_integers(DType dtype, const std::byte* from, int64_t stride, int64_t count, int64_t* buffer);
void write_integers(const int64_t* from, int64_t count, DType dtype, std::byte* to, int64_t stride);

/// The rows along the last dimension of a tensor of any strides.
class Rows {
 public:
  explicit Rows(const Tensor& tensor);

  int64_t count() const { return count_; }
  int64_t length() const { return length_; }
  int64_t stride() const { return stride_; }
  /// Offset of row `row`'s first element, in bytes.
  int64_t offset(int64_t row) const;

 private:
  Shape shape_;
  Shape strides_;
  int64_t count_ = 1;
  int64_t length_ = 1;
  int64_t stride_ = 1;
  int64_t element_bytes_;
  bool dense_;
};

/// Rows of `length` elements that are worth a thread.
inline int64_t row_grain(int64_t length) {
  constexpr int64_t kElements = 8192;
  return length >= kElements ? 1 : kElements / (length < 1 ? 1 : length);
}

}  // namespace martlet::ops::cpu

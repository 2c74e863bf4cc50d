#pragma once

// Element access for reference kernels: any dtype read as double, any layout, plain and slow on purpose.

#include <vector>

#include "tensor/tensor.h"

namespace martlet::ops {

/// The elements of a tensor of any device, dtype and strides, by row-major number. Integers are exact to
/// 2^53.
class Elements {
 public:
  explicit Elements(const Tensor& tensor);

  int64_t count() const { return tensor_.element_count(); }
  double operator[](int64_t index) const;
  std::vector<double> all() const;
  int64_t integer(int64_t index) const;
  /// Rounds to the tensor's dtype (nearest even; integers truncate and saturate, bool is "not zero").
  void set(int64_t index, double value);
  void set_integer(int64_t index, int64_t value);

 private:
  int64_t position(int64_t index) const;

  Tensor tensor_;
  bool contiguous_;
};

}  // namespace martlet::ops

#pragma once

#include "ops/packed_format.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// A matrix of parameters [rows, columns], dense (f32, bf16, f16) or packed. A small value; copies share the
/// bytes, and a dense one the gradient of its tensor. `linear` computes x W^T with it, `embedding` reads its
/// rows.
class Weight {
 public:
  Weight() = default;
  /// `dense`: [rows, columns], contiguous.
  Weight(Tensor dense);
  /// `bytes`: u8 [rows, format.row_bytes(columns)], contiguous. Throws when columns do not fill whole blocks.
  Weight(const PackedFormat& format, Tensor bytes, int64_t columns);

  bool defined() const { return tensor_.defined(); }
  int64_t rows() const { return tensor_.dim(0); }
  int64_t columns() const { return columns_; }
  Shape shape() const { return {rows(), columns_}; }
  bool is_packed() const { return format_ != nullptr; }
  /// Throws when packed.
  const Tensor& dense() const;
  const PackedFormat& format() const { return *format_; }
  /// The stored bytes: the dense tensor itself, or the packed blocks as u8.
  const Tensor& storage() const { return tensor_; }
  /// Cuts the link to the tape that a dense tensor brings along.
  void forget_gradient() { tensor_ = tensor_.detach(); }
  int64_t byte_count() const { return tensor_.byte_count(); }
  Device device() const { return tensor_.device(); }
  /// "f32", "bf16", "q4_1".
  std::string_view type_name() const;
  /// All of it as f32 [rows, columns] on the same device.
  Tensor unpack() const;
  /// A view of rows [begin, end).
  Weight rows(int64_t begin, int64_t end) const;
  Weight to(Device device) const;

 private:
  Tensor tensor_;
  const PackedFormat* format_ = nullptr;
  int64_t columns_ = 0;
};

}  // namespace martlet::ops

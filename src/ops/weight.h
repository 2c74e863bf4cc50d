#pragma once

#include "ops/packed_format.h"
#include "tensor/tensor.h"

namespace martlet::ops {

struct InterleavedFormat;

/// A matrix of parameters [rows, columns], dense (f32, bf16, f16) or packed. A small value; copies share the
/// bytes, and a dense one the gradient of its tensor. `linear` computes x W^T with it, `embedding` reads its
/// rows. A packed one may be interleaved: it holds the same values, laid out for products of integers
/// (ops/packed/interleaved.h), and `linear` then rounds x to int8. A bf16 one may be marked so that `linear`
/// rounds x to bf16.
class Weight {
 public:
  Weight() = default;
  /// `dense`: [rows, columns], contiguous.
  Weight(Tensor dense);
  /// `bytes`: u8 [rows, format.row_bytes(columns)], contiguous. Throws when columns do not fill whole blocks.
  Weight(const PackedFormat& format, Tensor bytes, int64_t columns);
  /// `bytes`: u8 [rows / 16 rounded up, format.group_bytes(columns)], contiguous.
  Weight(const InterleavedFormat& format, Tensor bytes, int64_t rows, int64_t columns);

  bool defined() const { return tensor_.defined(); }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  Shape shape() const { return {rows(), columns_}; }
  bool is_packed() const { return format_ != nullptr; }
  /// Throws when packed.
  const Tensor& dense() const;
  const PackedFormat& format() const { return *format_; }
  bool is_interleaved() const { return interleaved_ != nullptr; }
  /// Only of an interleaved one.
  const InterleavedFormat& interleaved_format() const { return *interleaved_; }
  /// The same values interleaved; itself where it is dense, interleaved already, of a format without that
  /// layout, or not on the CPU.
  Weight interleaved() const;
  /// Whether `linear` rounds x to bf16 and sums products of bf16 in f32.
  bool takes_bf16() const { return takes_bf16_; }
  /// The same, marked so; itself where it is not bf16.
  Weight taking_bf16() const;
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
  /// A view of rows [begin, end), which of an interleaved one are whole groups of 16.
  Weight rows(int64_t begin, int64_t end) const;
  Weight to(Device device) const;

 private:
  Tensor tensor_;
  const PackedFormat* format_ = nullptr;
  const InterleavedFormat* interleaved_ = nullptr;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  bool takes_bf16_ = false;
};

}  // namespace martlet::ops

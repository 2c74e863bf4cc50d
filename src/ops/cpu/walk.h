#pragma once

#include <array>

#include "base/function_ref.h"
#include "tensor/tensor.h"

namespace martlet::ops::cpu {

/// Elements of a piece at most, so that a few buffers of f32 stay in the first-level cache (32 KiB at least).
inline constexpr int64_t kPiece = 1024;

/// Elements that are worth another thread: waking one costs about 5 us, in which a core streams some 64 KiB
/// through a simple function.
inline constexpr int64_t kGrain = 16384;

/// Up to four tensors of one shape (broadcast ones included) walked together in row-major order, in pieces
/// along the last dimension. Neighbouring dimensions are merged where the strides of all allow it.
class Walk {
 public:
  static constexpr int kMaxOperands = 4;
  using Offsets = std::array<int64_t, kMaxOperands>;

  /// Every operand has `shape`, or broadcasts to it.
  Walk(const Shape& shape, std::initializer_list<const Tensor*> operands);
  /// Operands that are given by their strides, as many as `shape` has dimensions.
  Walk(const Shape& shape, std::initializer_list<Shape> strides);

  int64_t count() const { return count_; }
  /// Elements between neighbours of a piece.
  int64_t stride(int operand) const { return strides_[static_cast<size_t>(operand)][rank_ - 1]; }

  /// Whether all elements of an operand lie next to each other.
  bool is_dense(int operand) const { return rank_ == 1 && stride(operand) == 1; }

  /// Pieces of elements [begin, end): offset (in elements) of each operand's first one, and how many. A piece
  /// never crosses a multiple of kPiece in its row.
  void pieces(int64_t begin, int64_t end,
              FunctionRef<void(const Offsets& offsets, int64_t count)> body) const;
  /// All pieces, shared among the pool's threads.
  void parallel(FunctionRef<void(const Offsets& offsets, int64_t count)> body) const;

 private:
  void merge(const Shape& shape, const std::array<Shape, kMaxOperands>& strides);

  int64_t count_ = 0;
  int rank_ = 0;
  int operands_ = 0;
  Shape shape_;
  std::array<Shape, kMaxOperands> strides_;
};

}  // namespace martlet::ops::cpu

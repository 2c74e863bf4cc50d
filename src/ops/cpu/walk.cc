#include "ops/cpu/walk.h"

#include <algorithm>
#include <vector>

#include "base/thread_pool.h"

namespace martlet::ops::cpu {

Walk::Walk(const Shape& shape, std::initializer_list<const Tensor*> operands)
    : count_(shape.element_count()), operands_(static_cast<int>(operands.size())) {
  std::array<Shape, kMaxOperands> strides;
  size_t operand = 0;
  for (const Tensor* tensor : operands)
    strides[operand++] = tensor->shape() == shape ? tensor->strides() : tensor->expand(shape).strides();
  merge(shape, strides);
}

Walk::Walk(const Shape& shape, std::initializer_list<Shape> strides)
    : count_(shape.element_count()), operands_(static_cast<int>(strides.size())) {
  std::array<Shape, kMaxOperands> all;
  std::copy(strides.begin(), strides.end(), all.begin());
  merge(shape, all);
}

void Walk::merge(const Shape& shape, const std::array<Shape, kMaxOperands>& strides) {
  const auto operands = static_cast<size_t>(operands_);
  // From the last dimension to the first; a dimension joins the one before it when stepping over it is one
  // stride of its neighbour for every operand.
  std::array<int64_t, kMaxRank> sizes{};
  std::array<std::array<int64_t, kMaxRank>, kMaxOperands> steps{};
  size_t rank = 0;
  for (int dim = shape.rank() - 1; dim >= 0; --dim) {
    if (shape[dim] == 1) continue;
    bool joins = rank > 0;
    for (size_t i = 0; joins && i < operands; ++i)
      joins = strides[i][dim] == steps[i][rank - 1] * sizes[rank - 1];
    if (joins) {
      sizes[rank - 1] *= shape[dim];
      continue;
    }
    sizes[rank] = shape[dim];
    for (size_t i = 0; i < operands; ++i) steps[i][rank] = strides[i][dim];
    ++rank;
  }
  if (rank == 0) {
    sizes[0] = count_;
    for (size_t i = 0; i < operands; ++i) steps[i][0] = 1;
    rank = 1;
  }
  rank_ = static_cast<int>(rank);
  std::reverse(sizes.begin(), sizes.begin() + rank_);
  shape_ = Shape(std::span<const int64_t>(sizes.data(), rank));
  for (size_t i = 0; i < operands; ++i) {
    std::reverse(steps[i].begin(), steps[i].begin() + rank_);
    strides_[i] = Shape(std::span<const int64_t>(steps[i].data(), rank));
  }
}

void Walk::pieces(int64_t begin, int64_t end,
                  FunctionRef<void(const Offsets& offsets, int64_t count)> body) const {
  if (begin >= end) return;
  const int64_t row = shape_[rank_ - 1];
  Shape index = shape_;
  int64_t rest = begin;
  for (int dim = rank_ - 1; dim >= 0; --dim) {
    index[dim] = rest % shape_[dim];
    rest /= shape_[dim];
  }
  int64_t at = begin;
  while (at < end) {
    Offsets start{};
    for (int i = 0; i < operands_; ++i)
      for (int dim = 0; dim < rank_; ++dim)
        start[static_cast<size_t>(i)] += index[dim] * strides_[static_cast<size_t>(i)][dim];
    const int64_t last = std::min(row, index[rank_ - 1] + end - at);
    for (int64_t k = index[rank_ - 1]; k < last;) {
      const int64_t count = std::min(last, k / kPiece * kPiece + kPiece) - k;
      body(start, count);
      for (int i = 0; i < operands_; ++i) start[static_cast<size_t>(i)] += count * stride(i);
      k += count;
      at += count;
    }
    index[rank_ - 1] = 0;
    for (int dim = rank_ - 2; dim >= 0 && ++index[dim] == shape_[dim]; --dim) index[dim] = 0;
  }
}

void Walk::parallel(FunctionRef<void(const Offsets& offsets, int64_t count)> body) const {
  if (count_ <= kGrain) return pieces(0, count_, body);
  parallel_for(count_, kGrain, [&](int64_t begin, int64_t end) { pieces(begin, end, body); });
}

}  // namespace martlet::ops::cpu

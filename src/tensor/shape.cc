#include "tensor/shape.h"

#include <algorithm>

#include "base/error.h"

namespace martlet {

Shape::Shape(std::initializer_list<int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}

Shape::Shape(std::span<const int64_t> sizes) {
  if (sizes.size() > kMaxRank) failed("a tensor has at most {} dimensions, got {}", kMaxRank, sizes.size());
  std::copy(sizes.begin(), sizes.end(), sizes_.begin());
  rank_ = static_cast<int>(sizes.size());
}

size_t Shape::normalise(int dim) const {
  const int positive = dim < 0 ? dim + rank_ : dim;
  if (positive < 0 || positive >= rank_) failed("dimension {} is outside shape {}", dim, to_string());
  return static_cast<size_t>(positive);
}

int64_t Shape::element_count() const {
  int64_t extent = 1;
  bool empty = false;
  for (const int64_t size : *this) {
    empty |= size == 0;
    if (size < 0 || __builtin_mul_overflow(extent, std::max<int64_t>(size, 1), &extent))
      failed("shape {} is negative or too large", to_string());
  }
  return empty ? 0 : extent;
}

Shape Shape::dense_strides() const {
  Shape strides = *this;
  int64_t stride = 1;
  for (int dim = rank_ - 1; dim >= 0; --dim) {
    strides[dim] = stride;
    const int64_t size = std::max<int64_t>(sizes_[static_cast<size_t>(dim)], 1);
    if (__builtin_mul_overflow(stride, size, &stride)) failed("shape {} is too large", to_string());
  }
  return strides;
}

Shape Shape::with_inserted(int dim, int64_t size) const {
  if (rank_ == kMaxRank || dim < 0 || dim > rank_)
    failed("no dimension {} can be put into shape {}", dim, to_string());
  Shape result = *this;
  std::copy_backward(sizes_.begin() + dim, sizes_.begin() + rank_, result.sizes_.begin() + rank_ + 1);
  result.sizes_[static_cast<size_t>(dim)] = size;
  result.rank_ = rank_ + 1;
  return result;
}

Shape Shape::without(int dim) const {
  const size_t position = normalise(dim);
  Shape result = *this;
  std::copy(sizes_.begin() + static_cast<int64_t>(position) + 1, sizes_.begin() + rank_,
            result.sizes_.begin() + static_cast<int64_t>(position));
  result.rank_ = rank_ - 1;
  return result;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int dim = 0; dim < rank_; ++dim) {
    if (dim > 0) text += ", ";
    text += std::to_string(sizes_[static_cast<size_t>(dim)]);
  }
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

Shape broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape result = longer;
  for (int back = 1; back <= shorter.rank(); ++back) {
    const int64_t x = longer.dim(-back);
    const int64_t y = shorter.dim(-back);
    if (x != y && x != 1 && y != 1) failed("shapes {} and {} do not broadcast", a.to_string(), b.to_string());
    result[result.rank() - back] = x == 1 ? y : x;
  }
  return result;
}

}  // namespace martlet

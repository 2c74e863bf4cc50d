#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace martlet {

inline constexpr int kMaxRank = 8;

/// Up to eight sizes (or strides, or indices), a plain value. Rank 0 is a scalar of one element.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes);
  explicit Shape(std::span<const int64_t> sizes);

  int rank() const { return rank_; }
  /// Negative `dim` counts from the end; throws when out of range.
  int64_t dim(int dim) const { return sizes_[normalise(dim)]; }
  int64_t operator[](int dim) const { return sizes_[static_cast<size_t>(dim)]; }
  int64_t& operator[](int dim) { return sizes_[static_cast<size_t>(dim)]; }
  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + rank_; }

  /// The dimension as a number in [0, rank); throws when out of range.
  size_t normalise(int dim) const;
  /// The product of the sizes; throws when a size is negative, or when the product of those that are
  /// not 0 does not fit 63 bits (strides would not, though an empty tensor needs no memory).
  int64_t element_count() const;
  /// Strides in elements of a dense row-major tensor of this shape; throws when they do not fit 63 bits.
  Shape dense_strides() const;
  /// With `size` put before dimension `dim` (0..rank), or with that dimension taken out.
  Shape with_inserted(int dim, int64_t size) const;
  Shape without(int dim) const;

  /// "[2, 3]".
  std::string to_string() const;
  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

/// The common shape under NumPy's broadcasting rules; throws naming both when there is none.
Shape broadcast(const Shape& a, const Shape& b);

}  // namespace martlet

// Transposition in squares of 64 bytes a side: whole cache lines are read and written, whatever the strides.
// Squares go down the rows first, in bands short enough that the lines of a band read for one column of
// squares are still in the L1 cache for its neighbours, and that a row of the result gets a few lines at
// once.

#include "ops/cpu/transpose.h"

#include <algorithm>
#include <cstring>

#include "base/thread_pool.h"
#include "ops/cpu_features.h"

namespace martlet::ops::cpu {
namespace {

constexpr int64_t kSideBytes = 64;
constexpr int64_t kBandRows = 64;
// Bytes of the result that are worth waking a thread for.
constexpr int64_t kLeastBytes = 64 << 10;

struct Matrices {
  const std::byte* from;
  int64_t rows;
  int64_t from_stride;  // bytes
  std::byte* to;
  int64_t to_stride;
};

/// A part of a square, element by element.
template <typename T>
void rectangle(const Matrices& m, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  for (int64_t c = column; c < column + columns; ++c)
    for (int64_t r = row; r < row + rows; ++r)
      std::memcpy(m.to + c * m.to_stride + r * static_cast<int64_t>(sizeof(T)),
                  m.from + r * m.from_stride + c * static_cast<int64_t>(sizeof(T)), sizeof(T));
}

template <typename T>
void columns_of(const Matrices& m, int64_t begin, int64_t end) {
  constexpr int64_t kSize = sizeof(T);
  constexpr int64_t kSide = kSideBytes / kSize;
  const TransposeKernels& kernels =
      cpu_features().avx2 ? transpose_kernels_avx2() : transpose_kernels_portable();
  const auto square = kSize == 4 ? kernels.square_of_words : kernels.square_of_halves;
  for (int64_t band = 0; band < m.rows; band += kBandRows) {
    const int64_t band_end = std::min(band + kBandRows, m.rows);
    for (int64_t column = begin; column < end; column += kSide) {
      const int64_t columns = std::min(kSide, end - column);
      for (int64_t row = band; row < band_end; row += kSide) {
        const int64_t rows = std::min(kSide, band_end - row);
        if (rows == kSide && columns == kSide)
          square(m.from + row * m.from_stride + column * kSize, m.from_stride,
                 m.to + column * m.to_stride + row * kSize, m.to_stride);
        else
          rectangle<T>(m, row, rows, column, columns);
      }
    }
  }
}

template <typename T>
void square_by_element(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride) {
  constexpr int64_t kSide = kSideBytes / static_cast<int64_t>(sizeof(T));
  rectangle<T>({from, kSide, from_stride, to, to_stride}, 0, kSide, 0, kSide);
}

}  // namespace

const TransposeKernels& transpose_kernels_portable() {
  static constexpr TransposeKernels kKernels = {square_by_element<uint32_t>, square_by_element<uint16_t>};
  return kKernels;
}

void transpose(const Tensor& from, const Tensor& to) {
  const int64_t size = size_of(from.dtype());
  const int64_t rows = from.dim(0);
  const Matrices matrices{from.host_bytes(), rows, from.strides()[0] * size, to.mutable_host_bytes(),
                          to.dim(1) * size};
  const int64_t side = kSideBytes / size;
  const int64_t wanted = kLeastBytes / std::max<int64_t>(1, matrices.to_stride);
  const int64_t grain = std::max<int64_t>(1, (wanted + side - 1) / side) * side;
  parallel_for(to.dim(0), grain, [&](int64_t begin, int64_t end) {
    if (size == 4)
      columns_of<uint32_t>(matrices, begin, end);
    else
      columns_of<uint16_t>(matrices, begin, end);
    for (int64_t column = begin; column < end && rows < to.dim(1); ++column)
      std::memset(matrices.to + column * matrices.to_stride + rows * size, 0,
                  static_cast<size_t>((to.dim(1) - rows) * size));
  });
}

}  // namespace martlet::ops::cpu

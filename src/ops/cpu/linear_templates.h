#pragma once

// The inner loops of products over `Lanes`: include one `lanes_*.h` before. The order of sums is told in
// linear_kernels.h; every function here keeps it.

#include "ops/cpu/linear_kernels.h"
#include "ops/cpu/weight_sources.h"

namespace martlet::ops::cpu {
namespace {

/// kRows weight rows times kXRows x rows, weights unpacked in registers.
template <typename Source, int kRows, int kXRows>
void few_rows_tile(const FewRows& p, int64_t row) {
  const float* x = static_cast<const float*>(p.x);
  Lanes sums[kRows][kXRows];
  for (auto& row_sums : sums)
    for (Lanes& lanes : row_sums) lanes = zero();
  const std::byte* weight = p.weight + row * p.row_bytes;
  int64_t k = 0;
  for (; k + Source::kElements <= p.columns; k += Source::kElements, weight += Source::kBytes) {
    for (int r = 0; r < kRows; ++r) {
      Source::each(
          weight + r * p.row_bytes, [&](int i, Lanes value) __attribute__((always_inline)) {
            for (int m = 0; m < kXRows; ++m)
              sums[r][m] = multiply_add(value, load(x + m * p.x_stride + k + 16 * i), sums[r][m]);
          });
    }
  }
  if constexpr (Source::kPartial) {
    if (k < p.columns) {
      for (int r = 0; r < kRows; ++r) {
        const Lanes value = Source::part(weight + r * p.row_bytes, p.columns - k);
        for (int m = 0; m < kXRows; ++m)
          sums[r][m] = multiply_add(value, load(x + m * p.x_stride + k), sums[r][m]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int m = 0; m < kXRows; ++m) p.out[m * p.out_stride + row + r] = sum(sums[r][m]);
}

template <typename Source, int kXRows>
void few_rows_of(const FewRows& p) {
  constexpr int kRows = kFewSums / kXRows > 4 ? 4 : kFewSums / kXRows > 0 ? kFewSums / kXRows : 1;
  int64_t row = 0;
  for (; row + kRows <= p.weight_rows; row += kRows) few_rows_tile<Source, kRows, kXRows>(p, row);
  for (; row < p.weight_rows; ++row) few_rows_tile<Source, 1, kXRows>(p, row);
}

template <typename Source>
void few_rows(const FewRows& p) {
  switch (p.x_rows) {
    case 1:
      return few_rows_of<Source, 1>(p);
    case 2:
      return few_rows_of<Source, 2>(p);
    case 3:
      return few_rows_of<Source, 3>(p);
    default:
      return few_rows_of<Source, 4>(p);
  }
}

template <typename Source>
void unpack_row(const std::byte* row, int64_t columns, void* out) {
  float* values = static_cast<float*>(out);
  int64_t k = 0;
  for (; k + Source::kElements <= columns; k += Source::kElements, row += Source::kBytes)
    Source::each(
        row, [&](int i, Lanes value) __attribute__((always_inline)) { store(values + k + 16 * i, value); });
  if constexpr (Source::kPartial) {
    if (k < columns) {
      alignas(64) float last[16];
      store(last, Source::part(row, columns - k));
      std::memcpy(values + k, last, static_cast<size_t>(columns - k) * sizeof(float));
    }
  }
}

/// One register tile over a slice of k.
template <int kRows, int kColumns>
void panel_tile(const Panel& p, int64_t row, int64_t column, float* kept) {
  const float* x = static_cast<const float*>(p.x) + row * p.x_stride;
  const float* w = static_cast<const float*>(p.panel) + column * p.panel_stride;
  Lanes sums[kRows][kColumns];
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n) sums[m][n] = p.first ? zero() : load(kept + (m * kColumns + n) * 16);
  for (int64_t step = 0; step < p.steps; ++step) {
    Lanes a[kRows];
    for (int m = 0; m < kRows; ++m) a[m] = load(x + m * p.x_stride + 16 * step);
    for (int n = 0; n < kColumns; ++n) {
      const Lanes b = load(w + n * p.panel_stride + 16 * step);
      for (int m = 0; m < kRows; ++m) sums[m][n] = multiply_add(b, a[m], sums[m][n]);
    }
  }
  for (int m = 0; m < kRows; ++m) {
    for (int n = 0; n < kColumns; ++n) {
      if (p.last) {
        p.out[(row + m) * p.out_stride + column + n] = sum(sums[m][n]);
      } else {
        store(kept + (m * kColumns + n) * 16, sums[m][n]);
      }
    }
  }
}

template <int kRows>
void panel_rows(const Panel& p, int64_t row) {
  float* kept = p.sums + row * p.columns * 16;
  int64_t column = 0;
  for (; column + kTileColumns <= p.columns; column += kTileColumns, kept += kRows * kTileColumns * 16)
    panel_tile<kRows, kTileColumns>(p, row, column, kept);
  for (; column < p.columns; ++column, kept += kRows * 16) panel_tile<kRows, 1>(p, row, column, kept);
}

inline void panel(const Panel& p) {
  int64_t row = 0;
  for (; row + kTileRows <= p.x_rows; row += kTileRows) panel_rows<kTileRows>(p, row);
  for (; row < p.x_rows; ++row) panel_rows<1>(p, row);
}

template <typename Source>
constexpr LinearKernels kernels_of() {
  return {kLanesName, DType::kF32, 16, few_rows<Source>, unpack_row<Source>, panel};
}

constexpr TypedLinearKernels kTypedKernels[] = {
    {"f32", kernels_of<DenseF32>()}, {"bf16", kernels_of<DenseBF16>()}, {"f16", kernels_of<DenseF16>()},
    {"q4_0", kernels_of<Q4_0>()},    {"q4_1", kernels_of<Q4_1>()},      {"q5_0", kernels_of<Q5_0>()},
    {"q5_1", kernels_of<Q5_1>()},    {"q8_0", kernels_of<Q8_0>()},      {"q2_k", kernels_of<Q2K>()},
    {"q3_k", kernels_of<Q3K>()},     {"q4_k", kernels_of<Q4K>()},       {"q5_k", kernels_of<Q5K>()},
    {"q6_k", kernels_of<Q6K>()},     {"iq4_nl", kernels_of<Iq4Nl>()},   {"iq4_xs", kernels_of<Iq4Xs>()},
};

}  // namespace
}  // namespace martlet::ops::cpu

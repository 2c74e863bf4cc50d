#pragma once

// The inner loops of matmul_kernels.h over `Lanes`: include one `lanes_*.h` before.

#include "ops/cpu/matmul_kernels.h"
#include "ops/cpu/unrolled.h"

namespace martlet::ops::cpu {
namespace {

constexpr int kPanelColumns = 16 * kPanelVectors;

inline Lanes load_words(const float* from) {
  return load(from);
}
inline Lanes all_words(const float* from) {
  return all(*from);
}
/// Sums of products of words, rounded.
inline void store_narrow(const float*, BF16* to, Lanes sums) {
  store_bf16(to, sums);
}

/// Where a tile's sums go: see MatmulPanel.
struct TileTarget {
  float* out;
  BF16* narrow;
};

/// The tile's sums over all steps. Row m of `a` is at m * row_stride, its step s at s * step_stride (words).
template <typename Word, int kRows, bool kPacked>
[[gnu::always_inline]] inline void matmul_tile(const MatmulPanel& p, const Word* a, const TileTarget& to) {
  const int64_t row_stride = kPacked ? 1 : p.row_stride;
  constexpr int64_t kStepStride = kPacked ? kMatmulRows : 1;
  const Word* b = static_cast<const Word*>(p.panel);
  const int64_t steps = p.steps;
  float* out = to.out;
  const int64_t out_stride = p.out_stride;
  const bool adds = p.add;
  for (int m = 0; m < kRows; ++m) __builtin_prefetch(out + m * out_stride, 1);
  // Four rows to a pointer: the processor's addresses reach the others.
  const Word* fours[(kRows + 3) / 4];
  unrolled<(kRows + 3) / 4>([&](auto i) { fours[i.value] = a + 4 * i.value * row_stride; });
  Lanes sums[kRows][kPanelVectors];
  unrolled<kRows>([&](auto m) { unrolled<kPanelVectors>([&](auto n) { sums[m.value][n.value] = zero(); }); });
  for (int64_t step = 0; step < steps; ++step) {
    decltype(load_words(b)) columns[kPanelVectors];
    unrolled<kPanelVectors>([&](auto n) { columns[n.value] = load_words(b + 16 * n.value); });
    unrolled<kRows>([&](auto m) {
      const auto row = all_words(fours[m.value / 4] + m.value % 4 * row_stride);
      unrolled<kPanelVectors>([&](auto n) {
        sums[m.value][n.value] = multiply_add(row, columns[n.value], sums[m.value][n.value]);
      });
    });
    b += kPanelColumns;
    unrolled<(kRows + 3) / 4>([&](auto i) { fours[i.value] += kStepStride; });
  }
  if (adds)
    unrolled<kRows>([&](auto m) {
      unrolled<kPanelVectors>([&](auto n) {
        Lanes& sum = sums[m.value][n.value];
        sum = add(load(out + m.value * out_stride + 16 * n.value), sum);
      });
    });
  if (BF16* narrow = to.narrow; narrow != nullptr)
    return unrolled<kRows>([&](auto m) {
      unrolled<kPanelVectors>([&](auto n) {
        store_narrow(a, narrow + m.value * p.narrow_stride + 16 * n.value, sums[m.value][n.value]);
      });
    });
  unrolled<kRows>([&](auto m) {
    unrolled<kPanelVectors>(
        [&](auto n) { store(out + m.value * out_stride + 16 * n.value, sums[m.value][n.value]); });
  });
}

/// The last `count` < kMost rows.
template <typename Word, bool kPacked, int kMost>
void last_matmul_rows(const MatmulPanel& p, const Word* a, const TileTarget& to, int64_t count) {
  if constexpr (kMost > 1) {
    if (count == kMost - 1) return matmul_tile<Word, kMost - 1, kPacked>(p, a, to);
    last_matmul_rows<Word, kPacked, kMost - 1>(p, a, to, count);
  }
}

template <typename Word, bool kPacked>
void matmul_rows(const MatmulPanel& p) {
  const auto* a = static_cast<const Word*>(p.a);
  const int64_t tile_stride = kMatmulRows * (kPacked ? p.steps : p.row_stride);
  TileTarget to{p.out, p.narrow};
  LinesAhead next(p.next, p.rows / kMatmulRows + 1);
  int64_t row = 0;
  for (; row + kMatmulRows <= p.rows; row += kMatmulRows, a += tile_stride) {
    next.call_for_some();
    matmul_tile<Word, kMatmulRows, kPacked>(p, a, to);
    to.out += kMatmulRows * p.out_stride;
    if (to.narrow != nullptr) to.narrow += kMatmulRows * p.narrow_stride;
  }
  last_matmul_rows<Word, kPacked, kMatmulRows>(p, a, to, p.rows - row);
}

template <typename Word>
void matmul_panel(const MatmulPanel& p) {
  p.packed ? matmul_rows<Word, true>(p) : matmul_rows<Word, false>(p);
}

// Of f32, a word is an element. (Only some of a file's kernels use these.)
inline Lanes lanes_of(const float* from, int64_t count) {
  return count < 16 ? load_first(from, count) : load(from);
}
inline Lanes lanes_of(const BF16* from, int64_t count) {
  return count < 16 ? load_first_bf16(from, count) : load_bf16(from);
}

template <typename From>
void convert_row(const From* from, int64_t count, float* to) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(to + i, lanes_of(from + i, 16));
  if (i < count) store_first(to + i, lanes_of(from + i, count - i), count - i);
}

/// Rows of fewer words than lanes are written whole, what follows them is written after them.
template <typename From>
void pack_rows(const MatmulRows& p, int64_t width, float* to) {
  const std::byte* from = p.from;
  const bool overlaps = p.count < 16 && p.count == width;
  const int64_t whole = overlaps ? p.k - (16 + width - 1) / width : 0;
  int64_t k = 0;
  for (; k < whole; ++k, from += p.stride, to += width)
    store(to, lanes_of(reinterpret_cast<const From*>(from), p.count));
  for (; k < p.k; ++k, from += p.stride, to += width)
    convert_row(reinterpret_cast<const From*>(from), p.count, to);
}

[[maybe_unused]] void convert_to_f32(const std::byte* from, DType type, int64_t count, std::byte* to) {
  auto* out = reinterpret_cast<float*>(to);
  type == DType::kBF16 ? convert_row(reinterpret_cast<const BF16*>(from), count, out)
                       : convert_row(reinterpret_cast<const float*>(from), count, out);
}

[[maybe_unused]] void pack_f32(const MatmulRows& p, int64_t width, std::byte* to) {
  auto* out = reinterpret_cast<float*>(to);
  p.type == DType::kBF16 ? pack_rows<BF16>(p, width, out) : pack_rows<float>(p, width, out);
}

}  // namespace
}  // namespace martlet::ops::cpu

#pragma once

// The inner loops of products over `Lanes`: include one `lanes_*.h` before. The order of sums is told in
// linear_kernels.h; every function here keeps it. A source of weights is told in weight_sources.h.

#include "ops/cpu/linear_kernels.h"
#include "ops/cpu/unrolled.h"

namespace martlet::ops::cpu {
namespace {

/// Elements [begin, end) of kRows weight rows times kXRows x rows, weights unpacked in registers.
template <typename Source, int kRows, int kXRows>
void few_rows_slice(const FewRows& p, const std::byte* weight, int64_t begin, int64_t end, bool add,
                    float* out) {
  const auto* x = static_cast<const typename Source::Element*>(p.x);
  Lanes sums[kRows][kXRows];
  unrolled<kRows>([&](auto r) { unrolled<kXRows>([&](auto m) { sums[r.value][m.value] = zero(); }); });
  // Rows are too short streams for the processor's own prefetching: the next tile's are called for.
  const int64_t ahead = kRows * p.row_bytes;
  int64_t k = begin;
  const auto add_products = [&](auto r, int64_t at, auto value) __attribute__((always_inline)) {
    unrolled<kXRows>([&](auto m) {
      sums[r.value][m.value] =
          multiply_add(value, load(x + m.value * p.x_stride + at), sums[r.value][m.value]);
    });
  };
  for (; k + Source::kElements <= end; k += Source::kElements, weight += Source::kBytes)
    unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
      for (int64_t line = 0; line < Source::kBytes; line += 64)
        __builtin_prefetch(weight + r.value * p.row_bytes + ahead + line, 0, 2);
      Source::each(
          weight + r.value * p.row_bytes, [&](int i, auto value) __attribute__((always_inline)) {
            add_products(r, k + Source::kVector * i, value);
          });
    });
  if constexpr (Source::kPartial) {
    if (k < end)
      unrolled<kRows>(
          [&](auto r) { add_products(r, k, Source::part(weight + r.value * p.row_bytes, end - k)); });
  }
  store_sums(sums, add, out, p.out_stride);
}

template <typename Source, int kRows, int kXRows>
void few_rows_tile(const FewRows& p, int64_t row) {
  const std::byte* weight = p.weight + row * p.row_bytes;
  int64_t k = 0;
  do {
    const int64_t end = k + p.slice < p.columns ? k + p.slice : p.columns;
    few_rows_slice<Source, kRows, kXRows>(p, weight, k, end, k > 0, p.out + row);
    weight += p.slice / Source::kElements * Source::kBytes;
    k = end;
  } while (k < p.columns);
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
  auto* values = static_cast<typename Source::Element*>(out);
  int64_t k = 0;
  for (; k + Source::kElements <= columns; k += Source::kElements, row += Source::kBytes)
    Source::each(
        row, [&](int i, auto value)
                 __attribute__((always_inline)) { store(values + k + Source::kVector * i, value); });
  if constexpr (Source::kPartial) {
    if (k < columns) {
      typename Source::Element last[Source::kVector];
      store(last, Source::part(row, columns - k));
      std::memcpy(values + k, last, static_cast<size_t>(columns - k) * sizeof(*values));
    }
  }
}

template <typename Element, int kRows, int kColumns>
void panel_tile(const Panel& p, int64_t row, int64_t column) {
  constexpr int64_t kVector = 64 / sizeof(Element);
  const Element* x = static_cast<const Element*>(p.x) + row * p.x_stride;
  const Element* w = static_cast<const Element*>(p.panel) + column * p.panel_stride;
  float* out = p.out + row * p.out_stride + column;
  for (int m = 0; m < kRows; ++m) __builtin_prefetch(out + m * p.out_stride, 1);
  Lanes sums[kColumns][kRows];
  unrolled<kColumns>([&](auto n) { unrolled<kRows>([&](auto m) { sums[n.value][m.value] = zero(); }); });
  for (int64_t step = 0; step < p.steps; ++step) {
    decltype(load(x)) a[kRows];
    unrolled<kRows>([&](auto m) { a[m.value] = load(x + m.value * p.x_stride + kVector * step); });
    unrolled<kColumns>([&](auto n) {
      const auto b = load(w + n.value * p.panel_stride + kVector * step);
      unrolled<kRows>(
          [&](auto m) { sums[n.value][m.value] = multiply_add(b, a[m.value], sums[n.value][m.value]); });
    });
  }
  store_sums(sums, p.add, out, p.out_stride);
}

/// Calls for the next panel's bytes a few lines at a time: many at once would keep x waiting.
class NextPanel {
 public:
  NextPanel(const Panel& p, int64_t tiles) : p_(p) {
    constexpr int64_t kLine = 64;
    lines_ = (p.next_bytes + kLine - 1) / kLine;
    lines_a_tile_ = (lines_ * p.next_rows + tiles - 1) / tiles;
  }
  void call_for_some() {
    for (int64_t i = 0; i < lines_a_tile_ && row_ < p_.next_rows; ++i) {
      __builtin_prefetch(p_.next + row_ * p_.next_row_bytes + line_ * 64, 0, 2);
      if (++line_ < lines_) continue;
      line_ = 0;
      ++row_;
    }
  }

 private:
  const Panel& p_;
  int64_t lines_;
  int64_t lines_a_tile_;
  int64_t row_ = 0;
  int64_t line_ = 0;
};

template <typename Element, int kRows>
void panel_rows(const Panel& p, int64_t row, NextPanel& next) {
  int64_t column = 0;
  for (; column + kTileColumns <= p.columns; column += kTileColumns) {
    next.call_for_some();
    panel_tile<Element, kRows, kTileColumns>(p, row, column);
  }
  for (; column < p.columns; ++column) panel_tile<Element, kRows, 1>(p, row, column);
}

/// The last `count` < kMost rows of a block.
template <typename Element, int kMost>
void last_panel_rows(const Panel& p, int64_t row, int64_t count, NextPanel& next) {
  if constexpr (kMost > 1) {
    if (count == kMost - 1) return panel_rows<Element, kMost - 1>(p, row, next);
    last_panel_rows<Element, kMost - 1>(p, row, count, next);
  }
}

template <typename Element>
void panel(const Panel& p) {
  NextPanel next(p, p.x_rows * p.columns / (kTileRows * kTileColumns) + 1);
  int64_t row = 0;
  for (; row + kTileRows <= p.x_rows; row += kTileRows) panel_rows<Element, kTileRows>(p, row, next);
  last_panel_rows<Element, kTileRows>(p, row, p.x_rows - row, next);
}

/// f32 to bf16, `bias` (or null) added before.
inline void to_bf16_row(const float* values, const float* bias, int64_t count, BF16* out) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const Lanes lanes = load(values + i);
    store_bf16(out + i, bias == nullptr ? lanes : add(lanes, load(bias + i)));
  }
  if (i == count) return;
  const Lanes lanes = load_first(values + i, count - i);
  BF16 last[16];
  store_bf16(last, bias == nullptr ? lanes : add(lanes, load_first(bias + i, count - i)));
  std::memcpy(out + i, last, static_cast<size_t>(count - i) * sizeof(BF16));
}

template <typename Source>
constexpr LinearKernels kernels_of(std::string_view name) {
  using Element = typename Source::Element;
  return {name,           kDTypeOf<Element>, Source::kVector, few_rows<Source>, unpack_row<Source>,
          panel<Element>, to_bf16_row};
}

}  // namespace
}  // namespace martlet::ops::cpu

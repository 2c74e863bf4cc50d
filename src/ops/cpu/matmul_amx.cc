// Products of pairs of bf16 on tiles of AMX: a tile of sixteen rows by sixteen pairs, as rows of a stand,
// times one of sixteen steps by sixteen columns, as a panel stands.

#include <algorithm>
#include <cstring>

#include "ops/cpu/amx_tiles.h"
#include "ops/cpu/matmul_kernels.h"

namespace martlet::ops::cpu {
namespace {

constexpr int64_t kSide = 16;  // rows, steps and columns of a tile
constexpr int64_t kWordBytes = 4, kLine = kSide * kWordBytes;
constexpr int64_t kColumns = 2 * kSide;
constexpr int64_t kPanelTileBytes = kSide * kColumns * kWordBytes;  // of sixteen steps

constexpr TileShapes kWhole{.row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                            .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

// Registers: sums of a tile of rows with both of columns (0, 1), of the next one (2, 3), rows, columns.
constexpr int kRowTile = 4, kColumnTile = 6;

/// Words of up to sixteen rows, zeros where there are none: what is left at the edges.
struct alignas(64) Edge {
  std::byte words[kSide][(kMostMatmulSteps + kSide) * kWordBytes];

  void copy(const std::byte* from, int64_t stride, int64_t rows, int64_t steps) {
    const int64_t used = steps * kWordBytes;
    const int64_t whole = (steps + kSide - 1) / kSide * kLine;
    for (int64_t row = 0; row < kSide; ++row) {
      const int64_t filled = row < rows ? used : 0;
      if (filled > 0) std::memcpy(words[row], from + row * stride, static_cast<size_t>(filled));
      std::memset(words[row] + filled, 0, static_cast<size_t>(whole - filled));
    }
  }
};

/// Sixteen rows or fewer of a, in whole tiles of steps and one with what is left of them.
struct Rows {
  const std::byte* at = nullptr;
  int64_t stride = 0;  // bytes
  const std::byte* last = nullptr;
  int64_t last_stride = 0;
  int64_t first = 0, count = 0;
};

class PanelProduct {
 public:
  explicit PanelProduct(const MatmulPanel& panel)
      : p_(panel),
        tiles_(panel.steps / kSide),
        rest_(panel.steps % kSide),
        ahead_(panel.next, (panel.rows + kColumns - 1) / kColumns * std::max<int64_t>(1, tiles_)) {
    if (rest_ == 0) return;
    std::memset(rest_of_panel_, 0, sizeof(rest_of_panel_));
    std::memcpy(rest_of_panel_, column_tile(tiles_), static_cast<size_t>(rest_ * kColumns * kWordBytes));
  }

  void run() {
    for (int64_t row = 0; row < p_.rows; row += 2 * kSide)
      p_.rows - row > kSide ? multiply<2>(row) : multiply<1>(row);
  }

 private:
  const std::byte* column_tile(int64_t tile) const {
    return static_cast<const std::byte*>(p_.panel) + tile * kPanelTileBytes;
  }

  Rows rows_of(int64_t first, Edge& edge) const {
    const int64_t stride = p_.row_stride * kWordBytes, count = std::min(kSide, p_.rows - first);
    const std::byte* at = static_cast<const std::byte*>(p_.a) + first * stride;
    constexpr int64_t kEdgeStride = sizeof(edge.words[0]);
    const auto* words = &edge.words[0][0];
    if (count < kSide) {
      edge.copy(at, stride, count, p_.steps);
      return {words, kEdgeStride, words + tiles_ * kLine, kEdgeStride, first, count};
    }
    if (rest_ > 0) edge.copy(at + tiles_ * kLine, stride, count, rest_);
    return {at, stride, words, kEdgeStride, first, count};
  }

  template <int kRowTiles>
  void multiply(int64_t row) {
    const Rows rows[2] = {rows_of(row, edges_[0]), kRowTiles == 2 ? rows_of(row + kSide, edges_[1]) : Rows{}};
    begin<0>(rows[0]);
    if constexpr (kRowTiles == 2) begin<1>(rows[1]);
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      step<kRowTiles>(rows[0].at + tile * kLine, rows[0].stride, rows[1].at + tile * kLine, rows[1].stride,
                      column_tile(tile));
      ahead_.call_for_some();
    }
    if (rest_ > 0)
      step<kRowTiles>(rows[0].last, rows[0].last_stride, rows[1].last, rows[1].last_stride, rest_of_panel_);
    end<0>(rows[0]);
    if constexpr (kRowTiles == 2) end<1>(rows[1]);
  }

  template <int kRowTiles>
  [[gnu::always_inline]] static void step(const std::byte* first, int64_t first_stride,
                                          const std::byte* second, int64_t second_stride,
                                          const std::byte* columns) {
    load_tile<kRowTile>(first, first_stride);
    load_tile<kColumnTile>(columns, kColumns * kWordBytes);
    if constexpr (kRowTiles == 2) load_tile<kRowTile + 1>(second, second_stride);
    load_tile<kColumnTile + 1>(columns + kLine, kColumns * kWordBytes);
    multiply_bf16_tiles<0, kRowTile, kColumnTile>();
    multiply_bf16_tiles<1, kRowTile, kColumnTile + 1>();
    if constexpr (kRowTiles == 2) {
      multiply_bf16_tiles<2, kRowTile + 1, kColumnTile>();
      multiply_bf16_tiles<3, kRowTile + 1, kColumnTile + 1>();
    }
  }

  float* out_of(const Rows& rows) const { return p_.out + rows.first * p_.out_stride; }

  /// The sums that a tile of rows goes on from.
  template <int kTile>
  void begin(const Rows& rows) {
    if (!p_.add) {
      clear_tile<2 * kTile>();
      clear_tile<2 * kTile + 1>();
    } else if (rows.count == kSide) {
      load_tile<2 * kTile>(out_of(rows), p_.out_stride * kWordBytes);
      load_tile<2 * kTile + 1>(out_of(rows) + kSide, p_.out_stride * kWordBytes);
    } else {
      for (int64_t row = 0; row < rows.count; ++row)
        std::memcpy(sums_[row], out_of(rows) + row * p_.out_stride, kColumns * sizeof(float));
      load_tile<2 * kTile>(sums_[0], kColumns * kWordBytes);
      load_tile<2 * kTile + 1>(sums_[0] + kSide, kColumns * kWordBytes);
    }
  }

  template <int kTile>
  void end(const Rows& rows) {
    if (rows.count == kSide && p_.narrow == nullptr) {
      store_tile<2 * kTile>(out_of(rows), p_.out_stride * kWordBytes);
      store_tile<2 * kTile + 1>(out_of(rows) + kSide, p_.out_stride * kWordBytes);
      return;
    }
    store_tile<2 * kTile>(sums_[0], kColumns * kWordBytes);
    store_tile<2 * kTile + 1>(sums_[0] + kSide, kColumns * kWordBytes);
    for (int64_t row = 0; row < rows.count; ++row)
      if (p_.narrow == nullptr)
        std::memcpy(out_of(rows) + row * p_.out_stride, sums_[row], kColumns * sizeof(float));
      else
        pairs_.convert(reinterpret_cast<const std::byte*>(sums_[row]), DType::kF32, kColumns,
                       reinterpret_cast<std::byte*>(p_.narrow + (rows.first + row) * p_.narrow_stride));
  }

  const MatmulPanel& p_;
  const MatmulKernels& pairs_ = matmul_kernels_avx512bf16();
  int64_t tiles_, rest_;
  LinesAhead ahead_;
  Edge edges_[2];
  alignas(64) std::byte rest_of_panel_[kPanelTileBytes];
  alignas(64) float sums_[kSide][kColumns] = {};
};

void multiply_panel(const MatmulPanel& panel) {
  begin_tiles(kWhole);
  PanelProduct(panel).run();
  end_tiles();
}

}  // namespace

const MatmulKernels& matmul_kernels_amx() {
  static const MatmulKernels amx = [] {
    MatmulKernels kernels = matmul_kernels_avx512bf16();
    kernels.name = "AMX BF16";
    kernels.tile_rows = 2 * kSide;
    kernels.tile_columns = kColumns;
    kernels.rows_along_k = true;
    kernels.panel = multiply_panel;
    return kernels;
  }();
  return amx;
}

}  // namespace martlet::ops::cpu

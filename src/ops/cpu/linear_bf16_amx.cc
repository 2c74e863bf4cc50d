#include "ops/cpu/amx_tiles.h"
#include "ops/cpu/lanes_avx512.h"
#include "ops/cpu/linear_bf16_tiles.h"
#include "ops/cpu/lines_ahead.h"
#include "ops/cpu/transpose.h"

namespace martlet::ops::cpu {
namespace {

constexpr int64_t kLine = 64;
constexpr int64_t kTileBytes = kTileSide * kLine;

// Registers: sums of both tiles of rows with the first tile of tokens (0, 1) and with the second (2, 3), two
// tiles of weights, two of activations.
constexpr int kWeights = 4, kActivations = 6;

/// The bytes of 32 columns of one row, less where the row ends.
[[gnu::always_inline]] inline __m512i load_step(const std::byte* from, int64_t bytes) {
  if (bytes >= kStepBytes) return _mm512_loadu_si512(from);
  return _mm512_maskz_loadu_epi16((uint32_t{1} << (bytes / 2)) - 1, from);
}

/// A row's step as bf16, zeros behind its columns.
void round_row(const float* x, int64_t columns, BF16* out) {
  for (int64_t column = 0; column < kStepColumns; column += 16) {
    const int64_t count = columns - column;
    store_bf16(out + column, count >= 16 ? load(x + column) : load_first(x + column, count > 0 ? count : 0));
  }
}

/// Sums of the tokens' tile kTile: of the first sixteen rows and of the last.
template <int kTile>
[[gnu::always_inline]] inline void begin_sums(const float* sums, bool adds, int64_t row_bytes) {
  if (!adds) {
    clear_tile<2 * kTile>();
    clear_tile<2 * kTile + 1>();
    return;
  }
  load_tile<2 * kTile>(sums, row_bytes);
  load_tile<2 * kTile + 1>(sums + kTileSide * row_bytes / 4, row_bytes);
}
template <int kTile>
[[gnu::always_inline]] inline void store_tile_sums(float* sums, int64_t row_bytes) {
  store_tile<2 * kTile>(sums, row_bytes);
  store_tile<2 * kTile + 1>(sums + kTileSide * row_bytes / 4, row_bytes);
}

/// A step of both tiles of weights, whose rows lie `weights_stride` apart, with kTiles of activations.
template <int kTiles>
[[gnu::always_inline]] inline void multiply_step(const std::byte* weights, int64_t weights_stride,
                                                 const std::byte* first, const std::byte* second,
                                                 int64_t pair_bytes) {
  load_tile<kWeights>(weights, weights_stride);
  load_tile<kActivations>(first, pair_bytes);
  load_tile<kWeights + 1>(weights + kTileSide * weights_stride, weights_stride);
  if constexpr (kTiles == 2) load_tile<kActivations + 1>(second, pair_bytes);
  multiply_bf16_tiles<0, kWeights, kActivations>();
  multiply_bf16_tiles<1, kWeights + 1, kActivations>();
  if constexpr (kTiles == 2) {
    multiply_bf16_tiles<2, kWeights, kActivations + 1>();
    multiply_bf16_tiles<3, kWeights + 1, kActivations + 1>();
  }
}

template <int kTiles>
void multiply_tiles_of_panel(const PanelOfWeights& p, int64_t tile, LinesAhead& ahead) {
  float* sums = p.sums + tile * kWeightPanelRows * kTileSide;
  float* second_sums = sums + kWeightPanelRows * kTileSide;
  const std::byte* first = p.activations + tile * p.steps * kTileBytes;
  const std::byte* second = first + p.steps * kTileBytes;
  begin_sums<0>(sums, p.adds, kLine);
  if constexpr (kTiles == 2) begin_sums<1>(second_sums, p.adds, kLine);
  for (int64_t step = 0; step < p.steps; ++step) {
    multiply_step<kTiles>(p.panel + step * kPanelStepBytes, kLine, first + step * kTileBytes,
                          second + step * kTileBytes, kLine);
    ahead.call_for_some();
  }
  store_tile_sums<0>(sums, kLine);
  if constexpr (kTiles == 2) store_tile_sums<1>(second_sums, kLine);
}

template <int kTiles>
void multiply_stored_by(const StoredWeights& p) {
  const int64_t pair_bytes = p.width * 4;
  float* second_sums = p.sums + kWeightPanelRows * p.width;
  const std::byte* second = p.activations + p.steps * kTileSide * pair_bytes;
  begin_sums<0>(p.sums, false, pair_bytes);
  if constexpr (kTiles == 2) begin_sums<1>(second_sums, false, pair_bytes);
  for (int64_t step = 0; step < p.steps; ++step) {
    const int64_t at = step * kTileSide * pair_bytes;
    multiply_step<kTiles>(p.weights + step * kStepBytes, p.row_bytes, p.activations + at, second + at,
                          pair_bytes);
  }
  store_tile_sums<0>(p.sums, pair_bytes);
  if constexpr (kTiles == 2) store_tile_sums<1>(second_sums, pair_bytes);
}

}  // namespace

void begin_bf16_tiles(int64_t tokens) {
  TileShapes shapes{};
  for (int tile = 0; tile < 8; ++tile) {
    const bool is_weights = tile == kWeights || tile == kWeights + 1;
    shapes.row_bytes[tile] = static_cast<uint16_t>(is_weights ? kLine : tokens * 4);
    shapes.rows[tile] = kTileSide;
  }
  begin_tiles(shapes);
}

void end_bf16_tiles() {
  end_tiles();
}

void round_to_pairs(const float* x, int64_t x_stride, int64_t tokens, int64_t columns, int64_t width,
                    std::byte* pairs) {
  alignas(64) BF16 rows[kTileSide][kStepColumns];
  for (int64_t token = 0; token < width; ++token)
    round_row(x + (token < tokens ? token : 0) * x_stride, token < tokens ? columns : 0, rows[token]);
  const auto* bytes = reinterpret_cast<const std::byte*>(rows);
  if (width == kTileSide) return transpose_square_avx2(bytes, kLine, pairs, kLine);
  for (int64_t token = 0; token < width; ++token)
    for (int64_t pair = 0; pair < kTileSide; ++pair)
      std::memcpy(pairs + (pair * width + token) * 4, bytes + token * kLine + pair * 4, 4);
}

void pack_panel(const std::byte* weights, int64_t row_bytes, int64_t rows, int64_t bytes, std::byte* panel) {
  const int64_t steps = (bytes + kStepBytes - 1) / kStepBytes;
  for (int64_t row = 0; row < kWeightPanelRows; ++row)
    for (int64_t step = 0; step < steps; ++step) {
      const std::byte* from = weights + row * row_bytes + step * kStepBytes;
      _mm512_store_si512(panel + step * kPanelStepBytes + row * kLine,
                         row < rows ? load_step(from, bytes - step * kStepBytes) : _mm512_setzero_si512());
    }
}

void multiply_panel(const PanelOfWeights& p) {
  LinesAhead ahead(p.next, (p.tiles + 1) / 2 * p.steps);
  int64_t tile = 0;
  for (; tile + 2 <= p.tiles; tile += 2) multiply_tiles_of_panel<2>(p, tile, ahead);
  if (tile < p.tiles) multiply_tiles_of_panel<1>(p, tile, ahead);
}

void multiply_stored(const StoredWeights& p) {
  p.tiles == 1 ? multiply_stored_by<1>(p) : multiply_stored_by<2>(p);
}

}  // namespace martlet::ops::cpu

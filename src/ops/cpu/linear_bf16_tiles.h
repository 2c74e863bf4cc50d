#pragma once

// The inner loops of products of bf16 on tiles of AMX, for linear_bf16.cc, which cuts the work.
//
// A tile of weights is sixteen rows as they are stored, of 32 columns; one of activations the pairs of
// columns of up to sixteen tokens, [16 pairs][tokens][2]; their product is added to sums [16 rows][tokens].
// So weights are used as they lie, activations are turned once for all of them, and a single token costs what
// reading the weights costs.

#include <cstddef>
#include <cstdint>

#include "ops/cpu/lines_ahead.h"

namespace martlet::ops::cpu {

/// Rows of a tile of weights, and the most tokens of one of activations.
inline constexpr int64_t kTileSide = 16;
/// Columns that one product of tiles takes, its step.
inline constexpr int64_t kStepColumns = 32;
inline constexpr int64_t kStepBytes = kStepColumns * 2;
/// Rows of weights that are multiplied together, two tiles.
inline constexpr int64_t kWeightPanelRows = 2 * kTileSide;
inline constexpr int64_t kPanelStepBytes = kWeightPanelRows * kStepBytes;

/// Around this thread's loops with tiles of activations of `tokens` tokens, 1 to 16.
void begin_bf16_tiles(int64_t tokens);
void end_bf16_tiles();

/// Rounds a step of `tokens` rows of x, `columns` <= 32 of each, into pairs [16][width][2], zeros where there
/// are neither. width: of the tile, up to 16.
void round_to_pairs(const float* x, int64_t x_stride, int64_t tokens, int64_t columns, int64_t width,
                    std::byte* pairs);

/// `bytes` of each of `rows` <= 32 rows of weights into a panel [steps][32][64 bytes], zeros where there are
/// none.
void pack_panel(const std::byte* weights, int64_t row_bytes, int64_t rows, int64_t bytes, std::byte* panel);

/// sums [tiles][32 rows][16 tokens] = (or +=) a panel of weights [steps][32][64 bytes] times activations
/// [tiles][steps][16 pairs][16 tokens][2].
struct PanelOfWeights {
  const std::byte* panel;
  int64_t steps;
  const std::byte* activations;
  int64_t tiles;
  bool adds;
  float* sums;
  NextRows next;  ///< weights that will be multiplied next, to be called for meanwhile
};
void multiply_panel(const PanelOfWeights& product);

/// sums [tiles][32 rows][width] = 32 rows of weights where they are stored, all `steps` of them whole, times
/// one tile of activations [steps][16 pairs][width][2], or two of width 16, [2][steps][16 pairs][16][2].
/// (Calls for the weights behind these made it slower by up to 22 %.)
struct StoredWeights {
  const std::byte* weights;
  int64_t row_bytes, steps;
  const std::byte* activations;
  int64_t tiles, width;
  float* sums;
};
void multiply_stored(const StoredWeights& product);

}  // namespace martlet::ops::cpu

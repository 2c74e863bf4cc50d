#pragma once

// Attention's backward with products of f32. Include what attention_backward_templates.h asks for first.

#include "ops/cpu/attention_backward_templates.h"

namespace martlet::ops::cpu {
namespace {

/// `count` rows of `pitch` as columns of [pitch, kBackwardTile], zeros behind the last.
void transpose_rows(const float* rows, int64_t count, int64_t pitch, float* to) {
  for (int64_t row = 0; row < kBackwardTile; row += 16)
    for (int64_t i = 0; i < pitch; i += 16) {
      Floats lines[16];
      for (int line = 0; line < 16; ++line)
        lines[line] = row + line < count ? load(rows + (row + line) * pitch + i) : all(0.0f);
      transpose(lines);
      for (int line = 0; line < 16; ++line) store(to + (i + line) * kBackwardTile + row, lines[line]);
    }
}

/// A tile's keys and values as columns.
struct TransposedTile {
  float* keys;    // [q_pitch, kBackwardTile]
  float* values;  // [v_pitch, kBackwardTile]
};

void run_tile(const AttentionBackwardUnit& unit, const TransposedTile& transposed, const BackwardTile& tile) {
  const int64_t key_columns = (tile.keys + 15) / 16 * 16;
  const float* q = unit.q + tile.row * unit.q_pitch;
  const float* dy = unit.dy + tile.row * unit.v_pitch;
  multiply_tile(Product<float>{q, unit.q_pitch, 1, transposed.keys, kBackwardTile, tile.rows, key_columns,
                               unit.q_pitch, tile.weights, kBackwardTile, false});
  multiply_tile(Product<float>{dy, unit.v_pitch, 1, transposed.values, kBackwardTile, tile.rows, key_columns,
                               unit.v_pitch, tile.dscores, kBackwardTile, false});
  make_gradients(unit, tile);
  multiply_tile(Product<float>{tile.weights, 1, kBackwardTile, dy, unit.v_pitch, tile.keys, unit.v_pitch,
                               tile.rows, unit.dvalues + tile.key * unit.v_pitch, unit.v_pitch, true});
  multiply_tile(Product<float>{tile.dscores, kBackwardTile, 1, unit.key_rows + tile.key * unit.q_pitch,
                               unit.q_pitch, tile.rows, unit.q_pitch, tile.keys,
                               unit.dq + tile.row * unit.q_pitch, unit.q_pitch, true});
  multiply_tile(Product<float>{tile.dscores, 1, kBackwardTile, q, unit.q_pitch, tile.keys, unit.q_pitch,
                               tile.rows, unit.dkeys + tile.key * unit.q_pitch, unit.q_pitch, true});
}

void run_unit(const AttentionBackwardUnit& unit) {
  const TransposedTile transposed{unit.scratch, unit.scratch + kBackwardTile * unit.q_pitch};
  float* weights = transposed.values + kBackwardTile * unit.v_pitch;
  for_tiles(
      unit, {0, 0, 0, 0, weights, weights + kBackwardTile * kBackwardTile},
      [&](const BackwardTile& tile) {
        transpose_rows(unit.key_rows + tile.key * unit.q_pitch, tile.keys, unit.q_pitch, transposed.keys);
        transpose_rows(unit.value_rows + tile.key * unit.v_pitch, tile.keys, unit.v_pitch, transposed.values);
      },
      [&](const BackwardTile& tile) { run_tile(unit, transposed, tile); });
}

/// Keys and values of a tile transposed, weights, and the gradients of weights.
int64_t scratch_floats(const AttentionBackwardUnit& unit) {
  return kBackwardTile * (unit.q_pitch + unit.v_pitch + 2 * kBackwardTile);
}

}  // namespace
}  // namespace martlet::ops::cpu

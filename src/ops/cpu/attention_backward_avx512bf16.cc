// Attention's backward with products of pairs of bf16. A pair is two neighbours along the products' depth:
// of a row as it lies (q, dy, scores against keys), or of two rows (q, dy, keys and scores against rows). The
// instruction takes subnormal inputs as zero, gives no subnormal results, and rounds each of its two
// additions to nearest even.

#include "ops/cpu/floats_avx512.h"
// Mathematics and blocks are written over the lanes above, the kernel over all of them.
#include "ops/cpu/float_math.h"
// Keeps the order.
#include "ops/cpu/float_blocks_avx512.h"
// Keeps the order.
#include "ops/cpu/attention_backward_templates.h"

namespace martlet::ops::cpu {
namespace {

/// The bits of two bf16, the first in the lower half.
struct PairWord {
  uint32_t bits;
};
struct Pairs {
  __m512bh v;
};

inline Pairs load_words(const PairWord* from) {
  return {reinterpret_cast<__m512bh>(_mm512_loadu_si512(from))};
}
inline Pairs all_words(const PairWord* from) {
  return {reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(from->bits)))};
}
inline Floats multiply_add(Pairs a, Pairs b, Floats c) {
  return {_mm512_dpbf16_ps(c.v, a.v, b.v)};
}

/// Words that a row of bf16 takes.
inline int64_t words_of(int64_t elements) {
  return elements / 2;
}

/// Rows to pairs of neighbours; `count` elements, a multiple of 16.
void narrow(const float* from, int64_t count, PairWord* to) {
  for (int64_t i = 0; i < count; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i / 2),
                        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(from + i))));
}

inline __m512i low_halves(const float* from) {
  return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(from))));
}

/// `count` rows of `pitch` elements to [(count + 1) / 2, pitch] pairs of rows; behind an odd last row zeros.
void pair_rows(const float* rows, int64_t count, int64_t pitch, PairWord* to) {
  for (int64_t row = 0; row < count; row += 2, rows += 2 * pitch, to += pitch)
    for (int64_t i = 0; i < pitch; i += 16) {
      const __m512i odd = row + 1 < count ? low_halves(rows + pitch + i) : _mm512_setzero_si512();
      _mm512_storeu_si512(to + i, _mm512_or_si512(low_halves(rows + i), _mm512_slli_epi32(odd, 16)));
    }
}

/// `count` rows of pairs, `words` each, as columns of [words, kBackwardTile], zeros behind the last.
void transpose_words(const PairWord* rows, int64_t count, int64_t words, PairWord* to) {
  for (int64_t row = 0; row < kBackwardTile; row += 16)
    for (int64_t i = 0; i < words; i += 16) {
      const int64_t some = least(16, words - i);
      Floats lines[16];
      for (int line = 0; line < 16; ++line)
        lines[line] = row + line < count ? load_bytes(rows + (row + line) * words + i, 4 * some) : all(0.0f);
      transpose(lines);
      for (int64_t line = 0; line < some; ++line)
        _mm512_storeu_ps(to + (i + line) * kBackwardTile + row, lines[line].v);
    }
}

/// A unit's rows, and what belongs to the tile at hand.
struct Operands {
  PairWord* q;         // [rows, q_pitch / 2]
  PairWord* q_pairs;   // [(rows + 1) / 2, q_pitch], pairs of rows
  PairWord* dy;        // [rows, v_pitch / 2]
  PairWord* dy_pairs;  // [(rows + 1) / 2, v_pitch]

  PairWord* narrow;     // [kBackwardTile, pitch / 2] of keys or of values
  PairWord* keys;       // [q_pitch / 2, kBackwardTile]
  PairWord* values;     // [v_pitch / 2, kBackwardTile]
  PairWord* key_pairs;  // [kBackwardTile / 2, q_pitch]

  PairWord* weight_pairs;  // [rows of the tile / 2, kBackwardTile]
  PairWord* dscores;       // [rows of the tile, kBackwardTile / 2]
  PairWord* dscore_pairs;  // [rows of the tile / 2, kBackwardTile]
};

int64_t row_words(const AttentionBackwardUnit& unit) {
  const int64_t rows = unit.queries * unit.group;
  return (rows + (rows + 1) / 2 * 2) * words_of(unit.q_pitch + unit.v_pitch);
}
int64_t tile_words(const AttentionBackwardUnit& unit) {
  const int64_t pitch = most(unit.q_pitch, unit.v_pitch);
  return kBackwardTile * words_of(pitch + 2 * unit.q_pitch + unit.v_pitch + 3 * kBackwardTile);
}
int64_t scratch_floats(const AttentionBackwardUnit& unit) {
  return row_words(unit) + tile_words(unit) + 2 * kBackwardTile * kBackwardTile;
}

Operands take_operands(const AttentionBackwardUnit& unit) {
  static_assert(sizeof(PairWord) == sizeof(float));
  auto* next = reinterpret_cast<PairWord*>(unit.scratch);
  const auto take = [&](int64_t words) {
    PairWord* taken = next;
    next += words;
    return taken;
  };
  const int64_t rows = unit.queries * unit.group;
  const int64_t q_words = words_of(unit.q_pitch);
  const int64_t v_words = words_of(unit.v_pitch);
  Operands result{};
  result.q = take(rows * q_words);
  result.q_pairs = take((rows + 1) / 2 * unit.q_pitch);
  result.dy = take(rows * v_words);
  result.dy_pairs = take((rows + 1) / 2 * unit.v_pitch);
  result.narrow = take(kBackwardTile * most(q_words, v_words));
  result.keys = take(kBackwardTile * q_words);
  result.values = take(kBackwardTile * v_words);
  result.key_pairs = take(kBackwardTile * q_words);
  result.weight_pairs = take(kBackwardTile * kBackwardTile / 2);
  result.dscores = take(kBackwardTile * kBackwardTile / 2);
  result.dscore_pairs = take(kBackwardTile * kBackwardTile / 2);
  return result;
}

void prepare_rows(const AttentionBackwardUnit& unit, const Operands& to) {
  const int64_t rows = unit.queries * unit.group;
  narrow(unit.q, rows * unit.q_pitch, to.q);
  pair_rows(unit.q, rows, unit.q_pitch, to.q_pairs);
  narrow(unit.dy, rows * unit.v_pitch, to.dy);
  pair_rows(unit.dy, rows, unit.v_pitch, to.dy_pairs);
}

void prepare_keys(const AttentionBackwardUnit& unit, const BackwardTile& tile, const Operands& to) {
  const float* keys = unit.key_rows + tile.key * unit.q_pitch;
  pair_rows(keys, tile.keys, unit.q_pitch, to.key_pairs);
  narrow(keys, tile.keys * unit.q_pitch, to.narrow);
  transpose_words(to.narrow, tile.keys, words_of(unit.q_pitch), to.keys);
  narrow(unit.value_rows + tile.key * unit.v_pitch, tile.keys * unit.v_pitch, to.narrow);
  transpose_words(to.narrow, tile.keys, words_of(unit.v_pitch), to.values);
}

void run_tile(const AttentionBackwardUnit& unit, const Operands& operands, const BackwardTile& tile) {
  constexpr int64_t kTileWords = kBackwardTile / 2;
  const int64_t key_columns = (tile.keys + 15) / 16 * 16;
  const int64_t row_pairs = (tile.rows + 1) / 2;
  const int64_t key_pairs = (tile.keys + 1) / 2;
  const int64_t q_words = words_of(unit.q_pitch);
  const int64_t v_words = words_of(unit.v_pitch);
  const PairWord* q_pairs = operands.q_pairs + tile.row / 2 * unit.q_pitch;
  const PairWord* dy_pairs = operands.dy_pairs + tile.row / 2 * unit.v_pitch;
  multiply_tile(Product<PairWord>{operands.q + tile.row * q_words, q_words, 1, operands.keys, kBackwardTile,
                                  tile.rows, key_columns, q_words, tile.weights, kBackwardTile, false});
  multiply_tile(Product<PairWord>{operands.dy + tile.row * v_words, v_words, 1, operands.values,
                                  kBackwardTile, tile.rows, key_columns, v_words, tile.dscores, kBackwardTile,
                                  false});
  make_gradients(unit, tile);
  pair_rows(tile.weights, tile.rows, kBackwardTile, operands.weight_pairs);
  pair_rows(tile.dscores, tile.rows, kBackwardTile, operands.dscore_pairs);
  narrow(tile.dscores, tile.rows * kBackwardTile, operands.dscores);
  multiply_tile(Product<PairWord>{operands.weight_pairs, 1, kBackwardTile, dy_pairs, unit.v_pitch, tile.keys,
                                  unit.v_pitch, row_pairs, unit.dvalues + tile.key * unit.v_pitch,
                                  unit.v_pitch, true});
  multiply_tile(Product<PairWord>{operands.dscores, kTileWords, 1, operands.key_pairs, unit.q_pitch,
                                  tile.rows, unit.q_pitch, key_pairs, unit.dq + tile.row * unit.q_pitch,
                                  unit.q_pitch, true});
  multiply_tile(Product<PairWord>{operands.dscore_pairs, 1, kBackwardTile, q_pairs, unit.q_pitch, tile.keys,
                                  unit.q_pitch, row_pairs, unit.dkeys + tile.key * unit.q_pitch, unit.q_pitch,
                                  true});
}

void run_unit(const AttentionBackwardUnit& unit) {
  const Operands operands = take_operands(unit);
  float* weights = unit.scratch + row_words(unit) + tile_words(unit);
  prepare_rows(unit, operands);
  for_tiles(
      unit, {0, 0, 0, 0, weights, weights + kBackwardTile * kBackwardTile},
      [&](const BackwardTile& tile) { prepare_keys(unit, tile, operands); },
      [&](const BackwardTile& tile) { run_tile(unit, operands, tile); });
}

}  // namespace

const AttentionBackwardKernel& attention_backward_avx512bf16() {
  static constexpr AttentionBackwardKernel kKernel = {run_unit, scratch_floats};
  return kKernel;
}

}  // namespace martlet::ops::cpu

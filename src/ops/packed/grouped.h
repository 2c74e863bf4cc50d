#pragma once

// Matrices of small integers with a scale and a zero point for each group of columns, as checkpoints of other
// tools hold them, turned into packed weights.

#include <cstdint>
#include <functional>
#include <vector>

#include "ops/weight.h"

namespace martlet::ops {

/// Element [row, column] is scale * (code - zero), scale and zero being those of the column's group.
struct GroupedMatrix {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t group = 0;                ///< columns of a group; divides `columns`
  int bits = 0;                     ///< of a code, 1 to 8
  std::vector<float> scales = {};   ///< [rows][columns / group]
  std::vector<uint8_t> zeros = {};  ///< [rows][columns / group]
  /// Where columns of a group are not neighbours: position j of the packed matrix, and of its groups, is
  /// column order[j]. Empty: in order.
  std::vector<int32_t> order = {};
  /// Gives the codes of rows [begin, end), columns in order: [end - begin][columns]. `begin` is a multiple of
  /// kGroupedRows. Called from several threads.
  std::function<void(int64_t begin, int64_t end, uint8_t* codes)> read = {};
};

inline constexpr int64_t kGroupedRows = 64;

/// The same values packed: q4_0 or q8_0 where the zero point is the middle of the codes, else int4_zero or
/// int8_zero; dense f32 where groups do not fill blocks of 32. Scales become f16: the same number for those
/// of f16 and, from 2^-17 up, of bf16; others are rounded. Throws BadInput for a scale that is beyond f16 or
/// not finite.
Weight pack_grouped(const GroupedMatrix& matrix);

/// An int4_zero weight as q5_0, which holds the same values and is known to more readers. Throws BadInput for
/// a zero point that is no code of four bits.
Weight int4_zero_as_q5_0(const Weight& weight);

}  // namespace martlet::ops

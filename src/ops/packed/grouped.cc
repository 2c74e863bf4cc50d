#include "ops/packed/grouped.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/packed/formats.h"

namespace martlet::ops {
namespace {

constexpr int64_t kBlock = 32;
constexpr float kGreatestHalf = 65504;

/// How blocks are written: `shift` is added to codes, and a zero point is kept or is the format's own.
struct Target {
  const PackedFormat* format;  // null: dense
  int shift;
  bool keeps_zero;
};

Target target_of(const GroupedMatrix& matrix) {
  if (matrix.group % kBlock != 0) return {nullptr, 0, false};
  const int zero = matrix.zeros.empty() ? 0 : matrix.zeros.front();
  const bool same = std::all_of(matrix.zeros.begin(), matrix.zeros.end(), [&](int z) { return z == zero; });
  const int greatest = (1 << matrix.bits) - 1;
  if (same && zero <= 8 && greatest - zero <= 7) return {&packed::kQ4_0, 8 - zero, false};
  if (same && zero == 128 && matrix.bits == 8) return {&packed::kQ8_0, -128, false};
  return {matrix.bits <= 4 ? &packed::kInt4Zero : &packed::kInt8Zero, 0, true};
}

/// One block of `codes` in packed order.
void write_block(const Target& target, float scale, uint8_t zero, const uint8_t* codes, std::byte* to) {
  const F16 half = to_f16(scale);
  std::memcpy(to, &half.bits, sizeof(half.bits));
  to += sizeof(half.bits);
  if (target.keeps_zero) *to++ = std::byte{zero};
  const auto code = [&](int64_t i) { return static_cast<uint8_t>(codes[i] + target.shift); };
  const bool is_nibbles = target.format == &packed::kQ4_0 || target.format == &packed::kInt4Zero;
  if (is_nibbles)
    for (int64_t i = 0; i < kBlock / 2; ++i)
      to[i] = static_cast<std::byte>((code(i) & 15) | (code(i + kBlock / 2) & 15) << 4);
  else
    for (int64_t i = 0; i < kBlock; ++i) to[i] = std::byte{code(i)};
}

void check_scales(const GroupedMatrix& matrix) {
  for (const float scale : matrix.scales)
    if (!(std::fabs(scale) <= kGreatestHalf))
      bad_input("a scale is {}, and those that can be kept are within {}", scale, kGreatestHalf);
}

/// Calls take(row, codes of the row in packed order) for all rows, from several threads.
template <typename Take>
void each_row(const GroupedMatrix& matrix, const Take& take) {
  const int64_t columns = matrix.columns;
  const int64_t pieces = (matrix.rows + kGroupedRows - 1) / kGroupedRows;
  parallel_for(pieces, 1, [&](int64_t first, int64_t last) {
    std::vector<uint8_t> codes(static_cast<size_t>(kGroupedRows * columns));
    std::vector<uint8_t> ordered(matrix.order.empty() ? 0 : static_cast<size_t>(columns));
    for (int64_t piece = first; piece < last; ++piece) {
      const int64_t begin = piece * kGroupedRows;
      const int64_t end = std::min(begin + kGroupedRows, matrix.rows);
      matrix.read(begin, end, codes.data());
      for (int64_t row = begin; row < end; ++row) {
        const uint8_t* its = codes.data() + (row - begin) * columns;
        for (size_t j = 0; j < ordered.size(); ++j) ordered[j] = its[matrix.order[j]];
        take(row, ordered.empty() ? its : ordered.data());
      }
    }
  });
}

Weight dense(const GroupedMatrix& matrix) {
  const int64_t groups = matrix.columns / matrix.group;
  Tensor values = Tensor::empty({matrix.rows, matrix.columns}, DType::kF32);
  float* out = values.mutable_data<float>();
  each_row(matrix, [&](int64_t row, const uint8_t* codes) {
    for (int64_t j = 0; j < matrix.columns; ++j) {
      const auto at = static_cast<size_t>(row * groups + j / matrix.group);
      out[row * matrix.columns + j] = matrix.scales[at] * static_cast<float>(codes[j] - matrix.zeros[at]);
    }
  });
  return Weight(values);
}

}  // namespace

Weight pack_grouped(const GroupedMatrix& matrix) {
  check_scales(matrix);
  const Target target = target_of(matrix);
  if (target.format == nullptr) return dense(matrix);
  const int64_t groups = matrix.columns / matrix.group;
  const int64_t row_bytes = target.format->row_bytes(matrix.columns);
  Tensor bytes = Tensor::empty({matrix.rows, row_bytes}, DType::kU8);
  std::byte* out = bytes.mutable_host_bytes();
  each_row(matrix, [&](int64_t row, const uint8_t* codes) {
    std::byte* to = out + row * row_bytes;
    for (int64_t j = 0; j < matrix.columns; j += kBlock, to += target.format->block_bytes) {
      const auto at = static_cast<size_t>(row * groups + j / matrix.group);
      write_block(target, matrix.scales[at], matrix.zeros[at], codes + j, to);
    }
  });
  return Weight(*target.format, bytes, matrix.columns);
}

Weight int4_zero_as_q5_0(const Weight& weight) {
  const int64_t blocks = weight.rows() * weight.columns() / kBlock;
  Tensor bytes = Tensor::empty({weight.rows(), packed::kQ5_0.row_bytes(weight.columns())}, DType::kU8);
  const std::byte* from = weight.storage().host_bytes();
  std::byte* to = bytes.mutable_host_bytes();
  for (int64_t block = 0; block < blocks; ++block, from += 19, to += 22) {
    const int zero = std::to_integer<int>(from[2]);
    if (zero > 15) bad_input("a zero point is {}, and codes of four bits end at 15", zero);
    std::copy_n(from, 2, to);
    uint32_t fifth = 0;
    for (int i = 0; i < 16; ++i) {
      const int nibbles = std::to_integer<int>(from[3 + i]);
      const int low = (nibbles & 15) - zero + 16, high = (nibbles >> 4) - zero + 16;
      to[6 + i] = static_cast<std::byte>((low & 15) | (high & 15) << 4);
      fifth |= static_cast<uint32_t>(low >> 4) << i | static_cast<uint32_t>(high >> 4) << (i + 16);
    }
    std::memcpy(to + 2, &fifth, sizeof(fifth));
  }
  return Weight(packed::kQ5_0, bytes, weight.columns());
}

}  // namespace martlet::ops

#pragma once

// A packed weight format is one struct: how a block unpacks (and packs), and how fast kernels multiply it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace martlet::ops {

struct PackedFormat {
  std::string_view name;   ///< as GGUF names it where it has it, in lower case: "q4_1"
  int64_t block_elements;  ///< consecutive elements of a row that share a block
  int64_t block_bytes;
  /// Unpacks `blocks` consecutive blocks. Bit-equal to the format's public definition; no alignment is
  /// assumed.
  void (*unpack)(const std::byte* packed, int64_t blocks, float* out);
  /// Packs `blocks` consecutive blocks of x: a search for the scales (and minima) that make the sum of
  /// importance * (x - unpacked)^2 small. `importance` has a weight >= 0 for every element, or is null: all
  /// alike. x is finite. The result depends on the block alone. Null where the format is only read.
  void (*pack)(const float* x, const float* importance, int64_t blocks, std::byte* out) = nullptr;

  int64_t row_bytes(int64_t columns) const { return columns / block_elements * block_bytes; }
};

/// Every format that is built in, in one plain list (ops/packed/catalogue.cc).
std::span<const PackedFormat* const> packed_formats();
/// By name; null when unknown.
const PackedFormat* find_packed_format(std::string_view name);

}  // namespace martlet::ops

#pragma once

// Products of a group with one row of activations: decoding, where weights come from memory.

#include "ops/cpu/linear_int8_tiles.h"

namespace martlet::ops::cpu {
namespace {

/// How far ahead of use a stream of weights is called into the L2 cache. Of the distances from 1 to 32 KiB, 6
/// gave the most: q6_k 93 % of the speed of bare reading, 75 % without. Calling lines into the L1 cache made
/// every format slower.
constexpr int64_t kAhead = 6 << 10;

inline void call_ahead(const std::byte* at) {
  __builtin_prefetch(at + kAhead, 0, 2);
}

/// Codes that are read once, from memory. Those of five and six bits take many instructions, which keeps the
/// processor from running far ahead by itself; those of four and eight do not, and calls cost them more.
template <typename Codes>
struct Streamed {
  static constexpr int64_t kBytes = Codes::kBytes;
  static constexpr bool kIsCalled = kBytes == FiveBits::kBytes || kBytes == SixBits::kBytes;
  template <int j>
  static Bytes at(const std::byte* planes) {
    if constexpr (kIsCalled && j < kBytes / kVectorBytes) call_ahead(planes + j * kVectorBytes);
    return Codes::template at<j>(planes);
  }
};

/// A group is read once, front to back, and the next follows it in memory.
template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kCodes>
[[gnu::flatten]] void row(const std::byte* group, int64_t columns, const ActivationTile& x, float* sums) {
  Lanes totals[1] = {no_lanes()};
  Cursor at{group, x.codes, x.scales, x.side};
  alignas(64) float factors[kChunkFactors];
  for (int64_t left = columns / kCodesBlock; left > 0; left -= kChunkBlocks) {
    const int64_t blocks = left < kChunkBlocks ? left : kChunkBlocks;
    const int64_t header = kFormat.header_bytes(blocks);
    if constexpr (Streamed<Codes>::kIsCalled)
      for (int64_t line = 0; line < header; line += kVectorBytes) call_ahead(at.planes + line);
    Form::read_factors(at.planes, blocks, factors);
    at.planes += header;
    Form::template chunk<Streamed<Codes>, kCodes>(factors, blocks, at, totals);
  }
  store(sums, totals[0]);
}

}  // namespace
}  // namespace martlet::ops::cpu

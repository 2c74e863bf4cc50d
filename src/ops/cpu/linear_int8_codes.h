#pragma once

// How codes are taken out of their planes and multiplied by activations, a block of 32 columns at a time:
// what tiles and single rows share. Over the lanes of one `int8_lanes_*.h`, which the including file includes
// before. See linear_int8_kernels.h for the order of sums.

#include <bit>

#include "ops/cpu/linear_int8_kernels.h"

namespace martlet::ops::cpu {
namespace {

constexpr int kVectors = 8;  // of a block: four columns each
constexpr int64_t kVectorBytes = 64;
constexpr int64_t kRows = kGroupRows;

// How codes lie (packed/interleaved.h). `at<j>(planes)` is vector j of the block whose planes stand there;
// kOrder takes vectors so that planes are first touched in the order of memory. Planes that several vectors
// need are read again, from the cache, rather than kept in registers that sums need.

inline Bytes plane(const std::byte* planes, int index) {
  return load_bytes(planes + index * kVectorBytes);
}

struct FourBits {
  static constexpr int64_t kBytes = 4 * kVectorBytes;
  static constexpr int kOrder[kVectors] = {0, 4, 1, 5, 2, 6, 3, 7};
  template <int j>
  static Bytes at(const std::byte* planes) {
    return bits_of<j / 4 * 4, 4>(plane(planes, j % 4));
  }
};

alignas(16) constexpr uint8_t kIq4NlLevels[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                  129, 141, 153, 166, 181, 197, 217, 241};

struct FourBitLevels : FourBits {
  template <int j>
  static Bytes at(const std::byte* planes) {
    return lookup(kIq4NlLevels, FourBits::at<j>(planes));
  }
};

struct FiveBits {
  static constexpr int64_t kBytes = 5 * kVectorBytes;
  static constexpr int kOrder[kVectors] = {0, 1, 5, 2, 3, 6, 4, 7};
  template <int j>
  static Bytes at(const std::byte* planes) {
    if constexpr (j < 5)
      return bits_of<0, 5>(plane(planes, j));
    else if constexpr (j < 7)
      return with_bits_of<5, 2, 3>(bits_of<5, 3>(plane(planes, 2 * j - 10)), plane(planes, 2 * j - 9));
    else
      return with_bits_of<7, 1, 4>(with_bits_of<7, 1, 3>(bits_of<5, 3>(plane(planes, 4)), plane(planes, 1)),
                                   plane(planes, 3));
  }
};

struct SixBits {
  static constexpr int64_t kBytes = 6 * kVectorBytes;
  static constexpr int kOrder[kVectors] = {0, 1, 2, 3, 4, 5, 6, 7};
  template <int j>
  static Bytes at(const std::byte* planes) {
    constexpr int kFirst = j / 4 * 3;
    if constexpr (j % 4 < 3)
      return bits_of<0, 6>(plane(planes, kFirst + j % 4));
    else
      return with_bits_of<6, 2, 4>(
          with_bits_of<6, 2, 2>(bits_of<6, 2>(plane(planes, kFirst)), plane(planes, kFirst + 1)),
          plane(planes, kFirst + 2));
  }
};

struct EightBits {
  static constexpr int64_t kBytes = 8 * kVectorBytes;
  static constexpr int kOrder[kVectors] = {0, 1, 2, 3, 4, 5, 6, 7};
  template <int j>
  static Bytes at(const std::byte* planes) {
    return plane(planes, j);
  }
};

/// Codes that were taken out of their planes before, for many tiles: no headers stand between.
struct ExpandedCodes : EightBits {};

/// What a tile walks through, block after block.
struct Cursor {
  const std::byte* planes;
  const int8_t* codes;
  const float* scales;
  const int32_t* side;
};

/// The same pointer, of which the compiler knows nothing.
inline const std::byte* unknown(const std::byte* pointer) {
  asm("" : "+r"(pointer));
  return pointer;
}

inline float float_of(int32_t bits) {
  return std::bit_cast<float>(bits);
}

/// sums += vectors [kFirst, kEnd) of the block times the activations. Few sums are added up in several chains
/// each, which are integers: their order does not matter.
template <typename Codes, bool kWide, int kFirst, int kEnd, int kWidth>
[[gnu::always_inline]] inline void add_products(const Cursor& at, Ints (&sums)[kWidth]) {
  constexpr int kMost = (kEnd - kFirst) / 2;
  constexpr int kWanted = (kLeastChains + kWidth - 1) / kWidth;
  constexpr int kMore = (kWanted < kMost ? kWanted : kMost) - 1;  // chains beside `sums`
  Ints more[kMore == 0 ? 1 : kMore * kWidth];
  unrolled<kMore * kWidth>([&](auto each) { more[each.value] = no_ints(); });
  unrolled<kEnd - kFirst>([&](auto step) {
    constexpr int j = kEnd - kFirst == kVectors ? Codes::kOrder[step.value] : kFirst + step.value;
    constexpr int chain = step.value % (kMore + 1);
    const Bytes codes = Codes::template at<j>(at.planes);
    unrolled<kWidth>([&](auto c) {
      const int8_t* four = at.codes + 32 * c.value + 4 * j;
      if constexpr (chain == 0)
        sums[c.value] = dot<kWide>(sums[c.value], codes, four);
      else
        more[(chain - 1) * kWidth + c.value] = dot<kWide>(more[(chain - 1) * kWidth + c.value], codes, four);
    });
  });
  unrolled<kMore * kWidth>([&](auto each) {
    Ints& total = sums[each.value % kWidth];
    total = add(total, more[each.value]);
  });
}

/// The sums of an activation's codes as one.
template <int kCodes>
[[gnu::always_inline]] inline Ints sum_of_codes(const Ints* sums) {
  if constexpr (kCodes == 1)
    return sums[0];
  else
    return add(subtract(shift_left<8>(sums[0]), sums[0]), sums[1]);  // 255 times the first
}
static_assert(kFirstCodeSteps == 255);

/// totals = or += the sums of an activation's codes * scale.
template <bool kFirst, int kCodes, int kWidth>
[[gnu::always_inline]] inline void add_scaled(const Ints (&sums)[kWidth * kCodes], Lanes scale,
                                              Lanes (&totals)[kWidth]) {
  unrolled<kWidth>([&](auto c) {
    const Lanes sum = to_lanes(sum_of_codes<kCodes>(sums + kCodes * c.value));
    totals[c.value] = kFirst ? multiply(sum, scale) : multiply_add(sum, scale, totals[c.value]);
  });
}

template <int kCodesEach>
[[gnu::always_inline]] inline void next_block(Cursor& at, int64_t bytes) {
  at.planes += bytes;
  at.codes += 32 * kCodesEach;
}

}  // namespace
}  // namespace martlet::ops::cpu

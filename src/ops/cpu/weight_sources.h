#pragma once

// How weights of each type become f32 lanes, sixteen at a time and in order. Include one `lanes_*.h` before;
// everything is local to the file. A source has its block size and `each(block, take)`, which calls
// `take(i, lanes)` for the block's elements [16 i, 16 i + 16), i ascending. Values are bit-equal to the
// format's `unpack` (ops/packed): a table of a sub-block's possible values is computed once and looked up,
// and where an element is a product less a minimum, the product of so few bits is exact, so that one fused
// operation rounds as two do.

#include <cstddef>
#include <cstdint>

#include "ops/cpu/unrolled.h"

namespace martlet::ops::cpu {
namespace {

alignas(64) constexpr float kNibbles[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
alignas(64) constexpr float kNibblesFrom16[16] = {16, 17, 18, 19, 20, 21, 22, 23,
                                                  24, 25, 26, 27, 28, 29, 30, 31};
alignas(64) constexpr float kNibblesLess8[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
alignas(64) constexpr float kNibblesLess16[16] = {-16, -15, -14, -13, -12, -11, -10, -9,
                                                  -8,  -7,  -6,  -5,  -4,  -3,  -2,  -1};
// Only the low two bits of the index count.
alignas(64) constexpr float kPairs[16] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
alignas(64) constexpr float kPairsLess4[16] = {-4, -3, -2, -1, -4, -3, -2, -1,
                                               -4, -3, -2, -1, -4, -3, -2, -1};
alignas(64) constexpr float kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};

// Dense rows: a block is one step; the last, shorter one has a function of its own.

/// Sources whose steps are sixteen f32 lanes.
struct LanesSource {
  using Element = float;
  static constexpr int64_t kVector = 16;
};

struct DenseF32 : LanesSource {
  static constexpr int64_t kElements = 16;
  static constexpr int64_t kBytes = 64;
  static constexpr bool kPartial = true;
  static Lanes part(const std::byte* from, int64_t count) {
    return load_first(reinterpret_cast<const float*>(from), count);
  }
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* from, Take take) {
    take(0, load(reinterpret_cast<const float*>(from)));
  }
};

struct DenseBF16 : LanesSource {
  static constexpr int64_t kElements = 16;
  static constexpr int64_t kBytes = 32;
  static constexpr bool kPartial = true;
  static Lanes part(const std::byte* from, int64_t count) { return load_first_bf16(from, count); }
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* from, Take take) {
    take(0, load_bf16(from));
  }
};

struct DenseF16 : LanesSource {
  static constexpr int64_t kElements = 16;
  static constexpr int64_t kBytes = 32;
  static constexpr bool kPartial = true;
  static Lanes part(const std::byte* from, int64_t count) { return load_first_f16(from, count); }
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* from, Take take) {
    take(0, load_f16(from));
  }
};

template <int64_t kBlockElements, int64_t kBlockBytes>
struct PackedSource : LanesSource {
  static constexpr int64_t kElements = kBlockElements;
  static constexpr int64_t kBytes = kBlockBytes;
  static constexpr bool kPartial = false;
};

/// Low, then high nibbles of 16 bytes.
template <typename Take>
[[gnu::always_inline]] inline void each_nibble(Lanes table, const std::byte* nibbles, Take take) {
  const Codes codes = load_codes(nibbles);
  take(0, lookup(table, codes));
  take(1, lookup(table, shift_right<4>(codes)));
}

struct Q4_0 : PackedSource<32, 18> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    each_nibble(multiply(all_f16(block), load(kNibblesLess8)), block + 2, take);
  }
};

struct Q4_1 : PackedSource<32, 20> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    each_nibble(multiply_add(all_f16(block), load(kNibbles), all_f16(block + 2)), block + 4, take);
  }
};

struct Iq4Nl : PackedSource<32, 18> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    each_nibble(multiply(all_f16(block), load(kLevels)), block + 2, take);
  }
};

struct Int8Codes : LanesSource {
  static constexpr int64_t kElements = 16;
  static constexpr int64_t kBytes = 16;
  static constexpr bool kPartial = true;
  static Lanes part(const std::byte* from, int64_t count) {
    std::byte codes[16] = {};
    std::memcpy(codes, from, static_cast<size_t>(count));
    return to_lanes(load_signed_codes(codes));
  }
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* from, Take take) {
    take(0, to_lanes(load_signed_codes(from)));
  }
};

/// d * z of a block with a zero point.
inline Lanes zero_of(const std::byte* block) {
  return multiply(all_f16(block), all(static_cast<float>(std::to_integer<int>(block[2]))));
}

struct Int4Zero : PackedSource<32, 19> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    each_nibble(multiply_subtract(all_f16(block), load(kNibbles), zero_of(block)), block + 3, take);
  }
};

struct Int8Zero : PackedSource<32, 35> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    const Lanes d = all_f16(block);
    const Lanes zero = zero_of(block);
    take(0, multiply_subtract(d, to_lanes(load_codes(block + 3)), zero));
    take(1, multiply_subtract(d, to_lanes(load_codes(block + 19)), zero));
  }
};

inline uint32_t load_word(const std::byte* from) {
  uint32_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

/// Low, then high nibbles of 16 bytes, from one table or the other as the fifth bit says.
template <typename Take>
[[gnu::always_inline]] inline void each_five_bits(Lanes clear, Lanes set, uint32_t fifth,
                                                  const std::byte* nibbles, Take take) {
  const Codes codes = load_codes(nibbles);
  take(0, lookup(clear, set, mask_of(fifth & 0xffffu), codes));
  take(1, lookup(clear, set, mask_of(fifth >> 16), shift_right<4>(codes)));
}

struct Q5_0 : PackedSource<32, 22> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    const Lanes d = all_f16(block);
    each_five_bits(multiply(d, load(kNibblesLess16)), multiply(d, load(kNibbles)), load_word(block + 2),
                   block + 6, take);
  }
};

struct Q5_1 : PackedSource<32, 24> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    const Lanes d = all_f16(block);
    const Lanes m = all_f16(block + 2);
    each_five_bits(multiply_add(d, load(kNibbles), m), multiply_add(d, load(kNibblesFrom16), m),
                   load_word(block + 4), block + 8, take);
  }
};

struct Q8_0 : PackedSource<32, 34> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    const Lanes d = all_f16(block);
    take(0, multiply(d, to_lanes(load_signed_codes(block + 2))));
    take(1, multiply(d, to_lanes(load_signed_codes(block + 18))));
  }
};

/// Sixteen factors from sixteen codes, ready to be spread: element i is all(at[i]).
struct Factors {
  alignas(64) float at[16];
  explicit Factors(Lanes values) { store(at, values); }
};

struct Q2K : PackedSource<256, 84> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    const Codes packed = load_codes(block);
    const Factors scales(multiply(all_f16(block + 80), to_lanes(bit_and(packed, 15))));
    const Factors minima(multiply(all_f16(block + 82), to_lanes(shift_right<4>(packed))));
    unrolled<2>([&](auto half) {
      const Codes codes[2] = {load_codes(block + 16 + 32 * half.value),
                              load_codes(block + 32 + 32 * half.value)};
      unrolled<8>([&](auto part) {
        constexpr int i = half.value * 8 + part.value;
        const Lanes table = multiply_subtract(all(scales.at[i]), load(kPairs), all(minima.at[i]));
        take(i, lookup(table, shift_right<part.value / 2 * 2>(codes[part.value % 2])));
      });
    });
  }
};

struct Q3K : PackedSource<256, 110> {
  /// The sixteen 6-bit scales, less 32.
  static Codes scales(const std::byte* packed) {
    const uint32_t word[3] = {load_word(packed), load_word(packed + 4), load_word(packed + 8)};
    std::byte bytes[16];
    for (int group = 0; group < 4; ++group) {
      const uint32_t low = word[group % 2] >> (group / 2 * 4) & 0x0f0f0f0fu;
      const uint32_t high = word[2] >> (group * 2) & 0x03030303u;
      const uint32_t four = low | high << 4;
      std::memcpy(bytes + group * 4, &four, sizeof(four));
    }
    return subtract(load_codes(bytes), 32);
  }

  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    const Factors factors(multiply(all_f16(block + 108), to_lanes(scales(block + 96))));
    const Codes third[2] = {load_codes(block), load_codes(block + 16)};
    unrolled<2>([&](auto half) {
      const Codes codes[2] = {load_codes(block + 32 + 32 * half.value),
                              load_codes(block + 48 + 32 * half.value)};
      unrolled<8>([&](auto part) {
        constexpr int i = half.value * 8 + part.value;
        const Lanes scale = all(factors.at[i]);
        take(i, lookup(multiply(scale, load(kPairsLess4)), multiply(scale, load(kPairs)),
                       test_bit<i / 2>(third[part.value % 2]),
                       shift_right<part.value / 2 * 2>(codes[part.value % 2])));
      });
    });
  }
};

/// d * scale of q4_k's and q5_k's eight sub-blocks, then dmin * minimum of each.
inline Lanes scales_and_minima(const std::byte* block) {
  const uint32_t scale = load_word(block + 4);
  const uint32_t minimum = load_word(block + 8);
  const uint32_t low = load_word(block + 12);
  const uint32_t four[4] = {scale & 0x3f3f3f3fu, (low & 0x0f0f0f0fu) | (scale >> 2 & 0x30303030u),
                            minimum & 0x3f3f3f3fu, (low >> 4 & 0x0f0f0f0fu) | (minimum >> 2 & 0x30303030u)};
  std::byte bytes[16];
  std::memcpy(bytes, four, sizeof(bytes));
  return multiply(join_halves(all_f16(block), all_f16(block + 2)), to_lanes(load_codes(bytes)));
}

struct Q4K : PackedSource<256, 144> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    const Factors factors(scales_and_minima(block));
    unrolled<4>([&](auto pair) {
      constexpr int sub = pair.value * 2;
      const Lanes iota = load(kNibbles);
      const Lanes low = multiply_subtract(all(factors.at[sub]), iota, all(factors.at[sub + 8]));
      const Lanes high = multiply_subtract(all(factors.at[sub + 1]), iota, all(factors.at[sub + 9]));
      const Codes a = load_codes(block + 16 + 32 * pair.value);
      const Codes b = load_codes(block + 32 + 32 * pair.value);
      take(2 * sub, lookup(low, a));
      take(2 * sub + 1, lookup(low, b));
      take(2 * sub + 2, lookup(high, shift_right<4>(a)));
      take(2 * sub + 3, lookup(high, shift_right<4>(b)));
    });
  }
};

struct Q5K : PackedSource<256, 176> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    const Factors factors(scales_and_minima(block));
    const Codes fifth[2] = {load_codes(block + 16), load_codes(block + 32)};
    unrolled<8>([&](auto sub_block) {
      constexpr int sub = sub_block.value;
      const Lanes scale = all(factors.at[sub]);
      const Lanes minimum = all(factors.at[sub + 8]);
      const Lanes clear = multiply_subtract(scale, load(kNibbles), minimum);
      const Lanes set = multiply_subtract(scale, load(kNibblesFrom16), minimum);
      unrolled<2>([&](auto part) {
        const Codes codes = load_codes(block + 48 + sub / 2 * 32 + 16 * part.value);
        take(2 * sub + part.value,
             lookup(clear, set, test_bit<sub>(fifth[part.value]), shift_right<sub % 2 * 4>(codes)));
      });
    });
  }
};

struct Q6K : PackedSource<256, 210> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    const Factors factors(multiply(all_f16(block + 208), to_lanes(load_signed_codes(block + 192))));
    unrolled<2>([&](auto half) {
      const Codes upper[2] = {load_codes(block + 128 + 32 * half.value),
                              load_codes(block + 144 + 32 * half.value)};
      unrolled<8>([&](auto part) {
        constexpr int i = part.value;
        const Codes nibbles = load_codes(block + 64 * half.value + 16 * (i % 4));
        const Codes low = i < 4 ? bit_and(nibbles, 15) : shift_right<4>(nibbles);
        const Codes high = shift_left<4>(bit_and(shift_right<i / 2 * 2>(upper[i % 2]), 3));
        take(half.value * 8 + i,
             multiply(all(factors.at[half.value * 8 + i]), to_lanes(subtract(bit_or(low, high), 32))));
      });
    });
  }
};

struct Iq4Xs : PackedSource<256, 136> {
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* block, Take take) {
    uint16_t upper;
    std::memcpy(&upper, block + 2, sizeof(upper));
    const uint32_t lower = load_word(block + 4);
    std::byte bytes[16] = {};
    for (int sub = 0; sub < 8; ++sub)
      bytes[sub] = static_cast<std::byte>((lower >> (4 * sub) & 15u) | (upper >> (2 * sub) & 3) << 4);
    const Factors factors(multiply(all_f16(block), to_lanes(subtract(load_codes(bytes), 32))));
    unrolled<8>([&](auto sub) {
      each_nibble(multiply(all(factors.at[sub.value]), load(kLevels)), block + 8 + 16 * sub.value,
                  [&](int i, Lanes value) { take(2 * sub.value + i, value); });
    });
  }
};

}  // namespace
}  // namespace martlet::ops::cpu

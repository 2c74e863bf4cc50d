#pragma once

// Products of a group with one row of activations: decoding, where weights come from memory. The processor
// reads ahead of what it computes by as many instructions as it holds, so that every instruction fewer for a
// block calls memory earlier: factors are taken from headers as they are used, and high nibbles are
// multiplied where they stand. The sums are those of tiles, bit for bit.

#include <type_traits>

#include "ops/cpu/linear_int8_tiles.h"

namespace martlet::ops::cpu {
namespace {

/// How far ahead of use weights are called into the L2 cache.
constexpr int64_t kAhead = 2 << 10;

// Lines that a block calls of the stream of weights. Processors read ahead by themselves as long as lines are
// first touched in the order of memory. Zen 4 is held back by calls of every line: they cap a core at 22 GB/s
// (q6_k, one core: 70 % of bare reading; 95 % without any, 98 % with one a block, which makes it begin early
// enough behind the end of a page). Intel's cores are quicker with all (a Xeon with AMX, two cores: q8_0 29.8
// GB/s with one, 36.6 with all, 32.6 in bare reading).

struct OneLine {
  template <int64_t kBytes>
  static void call_ahead(const std::byte* at) {
    __builtin_prefetch(at + kAhead, 0, 2);
  }
};

struct EveryLine {
  template <int64_t kBytes>
  [[gnu::always_inline]] static void call_ahead(const std::byte* at) {
    unrolled<kBytes / kVectorBytes>(
        [&](auto line) { __builtin_prefetch(at + kAhead + line.value * kVectorBytes, 0, 2); });
  }
};

/// Touches a header's lines first: read as they are used, some would come late in the order of memory.
[[gnu::always_inline]] inline void touch_header(const std::byte* header, int64_t bytes) {
  for (int64_t line = 0; line < bytes; line += kVectorBytes) __builtin_prefetch(header + line);
}

/// sums += the block times kCodes codes of 32 activations. High nibbles are sixteen times what they stand
/// for, and so is their sum.
template <int kCodes>
[[gnu::always_inline]] inline void add_four_bits(const std::byte* planes, const int8_t* codes,
                                                 Ints (&sums)[kCodes]) {
  Ints high[kCodes];
  unrolled<kCodes>([&](auto c) { high[c.value] = no_ints(); });
  unrolled<4>([&](auto j) {
    const Bytes nibbles = plane(planes, j.value);
    const Bytes low = bits_of<0, 4>(nibbles), sixteen_fold = high_nibbles_in_place(nibbles);
    unrolled<kCodes>([&](auto c) {
      const int8_t* four = codes + 32 * c.value + 4 * j.value;
      sums[c.value] = dot<false>(sums[c.value], low, four);
      high[c.value] = dot<false>(high[c.value], sixteen_fold, four + 16);
    });
  });
  unrolled<kCodes>([&](auto c) { sums[c.value] = add(sums[c.value], signed_shift_right<4>(high[c.value])); });
}

/// sums += vectors [kFirst, kEnd) of the block times kCodes codes of activations.
template <typename Codes, bool kWide, int kFirst, int kEnd, int kCodes>
[[gnu::always_inline]] inline void add_row(const Cursor& at, Ints (&sums)[kCodes]) {
  if constexpr (kMultipliesAnyByte && std::is_same_v<Codes, FourBits> && kEnd - kFirst == kVectors)
    add_four_bits(at.planes, at.codes, sums);
  else
    add_products<Codes, kWide, kFirst, kEnd>(at, sums);
}

// What a chunk of each form adds to a row's total; `header` stands before the chunk's planes.

template <typename Form>
struct RowOf;

template <bool kIsWide>
struct RowOf<ScalesForm<false, kIsWide>> {
  template <typename Codes, typename Lines, int kCodes>
  [[gnu::always_inline]] static void chunk(const std::byte* header, int64_t blocks, Cursor& at,
                                           Lanes& total) {
    for (int64_t block = 0; block < blocks; ++block) {
      Lines::template call_ahead<Codes::kBytes>(at.planes);
      Ints sums[kCodes];
      unrolled<kCodes>([&](auto c) {
        sums[c.value] = kIsWide ? wide_start(at.side[c.value]) : all_ints(at.side[c.value]);
      });
      add_row<Codes, kIsWide, 0, kVectors>(at, sums);
      const Lanes scale = load_f16(header + 32 * block);
      total = multiply_add(to_lanes(sum_of_codes<kCodes>(sums)), multiply(scale, all(at.scales[0])), total);
      next_block<kCodes>(at, Codes::kBytes);
      at.scales += 1;
      at.side += kCodes;
    }
  }
};

/// A header of scales and minima is read whole before the planes: taken as they are used, they would make
/// three streams of one, which the processor does not read ahead (SmolLM2, q4_1: half as fast).
template <typename Form>
struct RowByFactors {
  template <typename Codes, typename Lines, int kCodes>
  [[gnu::always_inline]] static void chunk(const std::byte* header, int64_t blocks, Cursor& at,
                                           Lanes& total) {
    alignas(64) float factors[kChunkFactors];
    Form::read_factors(header, blocks, factors);
    for (int64_t block = 0; block < blocks; ++block)
      Lines::template call_ahead<Codes::kBytes>(at.planes + block * Codes::kBytes);
    Lanes totals[1] = {total};
    Form::template chunk<Codes, kCodes>(factors, blocks, at, totals);
    total = totals[0];
  }
};

template <bool kIsWide>
struct RowOf<ScalesForm<true, kIsWide>> : RowByFactors<ScalesForm<true, kIsWide>> {};
template <>
struct RowOf<ScalesAndZerosForm> : RowByFactors<ScalesAndZerosForm> {};

/// Byte kByte of each lane.
template <int kByte>
[[gnu::always_inline]] inline Ints byte_of(Ints words) {
  if constexpr (kByte == 0)
    return bit_and(words, 0xff);
  else if constexpr (kByte == 3)
    return shift_right<24>(words);
  else
    return bit_and(shift_right<8 * kByte>(words), 0xff);
}

template <>
struct RowOf<SubScalesAndMinimaForm> {
  /// Bytes 2 kPair and 2 kPair + 1 of each lane as 16-bit pairs.
  template <int kPair>
  static Ints pair_of(Ints words) {
    const Ints both = kPair == 0 ? words : shift_right<16>(words);
    return bit_or(bit_and(both, 0xff), shift_left<8>(bit_and(both, 0xff00)));
  }

  template <typename Codes, typename Lines, int kCodes>
  [[gnu::always_inline]] static void chunk(const std::byte* header, int64_t, Cursor& at, Lanes& total) {
    const Ints scales = load_ints(header + kVectorBytes);
    const Ints minima = load_ints(header + 2 * kVectorBytes);
    const Ints low = load_ints(header + 3 * kVectorBytes);
    const auto upper = [](Ints words) { return bit_and(shift_right<2>(words), 0x30303030); };
    const Lanes d = load_f16(header), minus_dmin = multiply(load_f16(header + 32), all(-1));
    const Ints sub[2] = {bit_and(scales, 0x3f3f3f3f), bit_or(bit_and(low, 0x0f0f0f0f), upper(scales))};
    const Ints least[2] = {bit_and(minima, 0x3f3f3f3f),
                           bit_or(bit_and(shift_right<4>(low), 0x0f0f0f0f), upper(minima))};
    unrolled<2>([&](auto half) {
      Ints taken[kCodes];
      unrolled<kCodes>([&](auto c) {
        taken[c.value] = add(multiply_pairs(pair_of<0>(least[half.value]), at.side[c.value]),
                             multiply_pairs(pair_of<1>(least[half.value]), at.side[kCodes + c.value]));
      });
      Lanes scaled[1] = {multiply(to_lanes(sum_of_codes<kCodes>(taken)), minus_dmin)};
      unrolled<4>([&](auto block) {
        Lines::template call_ahead<Codes::kBytes>(at.planes);
        Ints sums[kCodes];
        unrolled<kCodes>([&](auto c) { sums[c.value] = no_ints(); });
        add_row<Codes, false, 0, kVectors>(at, sums);
        const Lanes scale = multiply(to_lanes(byte_of<block.value>(sub[half.value])), d);
        add_scaled<false, kCodes>(sums, scale, scaled);
        next_block<kCodes>(at, Codes::kBytes);
      });
      total = multiply_add(scaled[0], all(at.scales[0]), total);
      at.scales += 1;
      at.side += 3 * kCodes;
    });
  }
};

template <>
struct RowOf<SubScalesForm> {
  template <typename Codes, typename Lines, int kCodes>
  [[gnu::always_inline]] static void chunk(const std::byte* header, int64_t, Cursor& at, Lanes& total) {
    const Lanes d = load_f16(header + 256);
    for (int64_t half = 0; half < 2; ++half) {
      Lanes scaled[1];
      unrolled<4>([&](auto block) {
        Lines::template call_ahead<Codes::kBytes>(at.planes);
        unrolled<2>([&](auto part) {
          Ints sums[kCodes];
          unrolled<kCodes>([&](auto c) { sums[c.value] = all_ints(at.side[c.value]); });
          add_row<Codes, false, 4 * part.value, 4 * part.value + 4>(at, sums);
          const std::byte* scale = header + 16 * (8 * half + 2 * block.value + part.value);
          add_scaled<block.value + part.value == 0, kCodes>(
              sums, multiply(to_lanes(load_signed_bytes(scale)), d), scaled);
          at.side += kCodes;
        });
        next_block<kCodes>(at, Codes::kBytes);
      });
      total = multiply_add(scaled[0], all(at.scales[0]), total);
      at.scales += 1;
    }
  }
};

/// A group is read once, front to back, and the next follows it in memory.
template <typename Form, typename Codes, typename Lines, const InterleavedFormat& kFormat, int kCodes>
[[gnu::flatten]] void row(const std::byte* group, int64_t columns, const ActivationTile& x, float* sums) {
  Lanes total = no_lanes();
  Cursor at{group, x.codes, x.scales, x.side};
  for (int64_t left = columns / kCodesBlock; left > 0; left -= kChunkBlocks) {
    const int64_t blocks = left < kChunkBlocks ? left : kChunkBlocks;
    const std::byte* header = at.planes;
    const int64_t bytes = kFormat.header_bytes(blocks);
    touch_header(header, bytes);
    at.planes += bytes;
    RowOf<Form>::template chunk<Codes, Lines, kCodes>(header, blocks, at, total);
  }
  store(sums, total);
}

}  // namespace
}  // namespace martlet::ops::cpu

#pragma once

// Products of a slice of a group with a tile of activations, for each form of packed weights.

#include <type_traits>

#include "ops/cpu/linear_int8_codes.h"

namespace martlet::ops::cpu {
namespace {

// Forms. Each has its factors (from a chunk's header) and `chunk`, which adds a chunk to the totals of kWidth
// rows of activations of kCodes codes each.

template <bool kMinima, bool kIsWide>
struct ScalesForm {
  static constexpr bool kWide = kIsWide;

  static void read_factors(const std::byte* header, int64_t blocks, float* factors) {
    for (int64_t block = 0; block < blocks; ++block) {
      store(factors + 16 * block, load_f16(header + 32 * block));
      if constexpr (kMinima)
        store(factors + 16 * (kChunkBlocks + block), load_f16(header + 32 * (blocks + block)));
    }
  }

  template <typename Codes, int kCodes, int kWidth>
  [[gnu::always_inline]] static void chunk(const float* factors, int64_t blocks, Cursor& at,
                                           Lanes (&totals)[kWidth]) {
    for (int64_t block = 0; block < blocks; ++block) {
      Ints sums[kWidth * kCodes];
      unrolled<kWidth * kCodes>([&](auto c) {
        if constexpr (kMinima)
          sums[c.value] = no_ints();
        else
          sums[c.value] = kWide ? wide_start(at.side[c.value]) : all_ints(at.side[c.value]);
      });
      add_products<Codes, kWide, 0, kVectors>(at, sums);
      next_block<kWidth * kCodes>(at, Codes::kBytes);
      add_block<kCodes>(factors, block, at, sums, totals);
    }
  }

  /// totals += what a block's integer sums give.
  template <int kCodes, int kWidth>
  [[gnu::always_inline]] static void add_block(const float* factors, int64_t block, Cursor& at,
                                               const Ints* sums, Lanes (&totals)[kWidth]) {
    const Lanes scale = load(factors + 16 * block);
    unrolled<kWidth>([&](auto c) {
      const Lanes sum = to_lanes(sum_of_codes<kCodes>(sums + kCodes * c.value));
      totals[c.value] = multiply_add(sum, multiply(scale, all(at.scales[c.value])), totals[c.value]);
    });
    if constexpr (kMinima) {
      const Lanes minimum = load(factors + 16 * (kChunkBlocks + block));
      unrolled<kWidth>([&](auto c) {
        totals[c.value] = multiply_add(minimum, all(float_of(at.side[kCodes * c.value])), totals[c.value]);
      });
    }
    at.scales += kWidth;
    at.side += kWidth * kCodes;
  }
};

/// As with minima, which are -d z here.
struct ScalesAndZerosForm : ScalesForm<true, false> {
  static void read_factors(const std::byte* header, int64_t blocks, float* factors) {
    const std::byte* zeros = header + 32 * blocks;
    for (int64_t block = 0; block < blocks; ++block) {
      const Lanes scale = load_f16(header + 32 * block);
      const Lanes zero = to_lanes(bit_and(load_signed_bytes(zeros + 16 * block), 0xff));
      store(factors + 16 * block, scale);
      store(factors + 16 * (kChunkBlocks + block), multiply(multiply(scale, zero), all(-1)));
    }
  }
};

/// The four bytes of each lane, one after another, times d: exact, 7 bits by 11.
inline void store_bytes_scaled(Ints words, Lanes d, float* to) {
  store(to, multiply(to_lanes(bit_and(words, 0xff)), d));
  store(to + 16, multiply(to_lanes(bit_and(shift_right<8>(words), 0xff)), d));
  store(to + 32, multiply(to_lanes(bit_and(shift_right<16>(words), 0xff)), d));
  store(to + 48, multiply(to_lanes(shift_right<24>(words)), d));
}

/// The four bytes of each lane as two vectors of 16-bit pairs.
inline void store_bytes_as_pairs(Ints words, float* to) {
  store_ints(to, bit_or(bit_and(words, 0xff), shift_left<8>(bit_and(words, 0xff00))));
  const Ints upper = shift_right<16>(words);
  store_ints(to + 16, bit_or(bit_and(upper, 0xff), shift_left<8>(bit_and(upper, 0xff00))));
}

// Sub-scales multiply as floats: a conversion and a fused multiply-add take one slot of the pipes that bytes
// are multiplied on, a 512-bit product of integers (vpmulld) two.

struct SubScalesAndMinimaForm {
  static constexpr bool kWide = false;
  // Vectors of factors after the scales: minima come in pairs, four vectors, then what is taken off for each
  // half.
  static constexpr int64_t kMinusDmin = 8, kPairs = 9, kTaken = 13;

  /// Scales and minima of bits.h, for sixteen rows at once.
  static void read_factors(const std::byte* header, int64_t, float* factors) {
    const Ints scales = load_ints(header + kVectorBytes);
    const Ints minima = load_ints(header + 2 * kVectorBytes);
    const Ints low = load_ints(header + 3 * kVectorBytes);
    const auto upper = [](Ints words) { return bit_and(shift_right<2>(words), 0x30303030); };
    const Lanes d = load_f16(header);
    store_bytes_scaled(bit_and(scales, 0x3f3f3f3f), d, factors);
    store_bytes_scaled(bit_or(bit_and(low, 0x0f0f0f0f), upper(scales)), d, factors + 64);
    store(factors + 16 * kMinusDmin, multiply(load_f16(header + 32), all(-1)));
    store_bytes_as_pairs(bit_and(minima, 0x3f3f3f3f), factors + 16 * kPairs);
    store_bytes_as_pairs(bit_or(bit_and(shift_right<4>(low), 0x0f0f0f0f), upper(minima)),
                         factors + 16 * (kPairs + 2));
    for (int64_t half = 0; half < 2; ++half) {
      const float* pairs = factors + 16 * (kPairs + 2 * half);
      store_ints(factors + 16 * (kTaken + half),
                 subtract(no_ints(), multiply_pairs(load_ints(pairs), load_ints(pairs + 16))));
    }
  }

  /// scaled = what four blocks' minima give.
  template <int kCodes, int kWidth>
  [[gnu::always_inline]] static void scale_minima(const float* factors, int64_t half, const Cursor& at,
                                                  Lanes (&scaled)[kWidth]) {
    const Lanes minus_dmin = load(factors + 16 * kMinusDmin);
    const Ints first = load_ints(factors + 16 * (kPairs + 2 * half));
    const Ints second = load_ints(factors + 16 * (kPairs + 2 * half + 1));
    const Ints taken = load_ints(factors + 16 * (kTaken + half));
    unrolled<kWidth>([&](auto c) {
      Ints minima[kCodes];
      unrolled<kCodes>([&](auto code) {
        // m0 s0 + m2 s2 = (m0 + s2) (m2 + s0) - m0 m2 - s0 s2: one product in place of two. Additions run
        // on pipes that products leave idle.
        const int32_t* side = at.side + kCodes * c.value + code.value;
        const Ints products =
            multiply_pairs(add_pairs(first, side[kWidth * kCodes]), add_pairs(second, side[0]));
        minima[code.value] = add(add(products, taken), all_ints(side[2 * kWidth * kCodes]));
      });
      scaled[c.value] = multiply(to_lanes(sum_of_codes<kCodes>(minima)), minus_dmin);
    });
  }

  template <typename Codes, int kCodes, int kWidth>
  [[gnu::always_inline]] static void chunk(const float* factors, int64_t, Cursor& at,
                                           Lanes (&totals)[kWidth]) {
    for (int64_t half = 0; half < 2; ++half) {
      Lanes scaled[kWidth];
      scale_minima<kCodes>(factors, half, at, scaled);
      unrolled<4>([&](auto block) {
        Ints sums[kWidth * kCodes];
        unrolled<kWidth * kCodes>([&](auto c) { sums[c.value] = no_ints(); });
        at.planes = unknown(at.planes);  // or later blocks' planes would wait in registers
        add_products<Codes, kWide, 0, kVectors>(at, sums);
        add_scaled<false, kCodes>(sums, load(factors + 16 * (4 * half + block.value)), scaled);
        next_block<kWidth * kCodes>(at, Codes::kBytes);
      });
      unrolled<kWidth>([&](auto c) {
        totals[c.value] = multiply_add(scaled[c.value], all(at.scales[c.value]), totals[c.value]);
      });
      at.scales += kWidth;
      at.side += 3 * kWidth * kCodes;
    }
  }
};

struct SubScalesForm {
  static constexpr bool kWide = false;

  static void read_factors(const std::byte* header, int64_t, float* factors) {
    const Lanes d = load_f16(header + 256);
    for (int64_t sub = 0; sub < 16; ++sub)
      store(factors + 16 * sub, multiply(to_lanes(load_signed_bytes(header + 16 * sub)), d));
  }

  template <typename Codes, int kCodes, int kWidth>
  [[gnu::always_inline]] static void chunk(const float* factors, int64_t, Cursor& at,
                                           Lanes (&totals)[kWidth]) {
    for (int64_t half = 0; half < 2; ++half) {
      Lanes scaled[kWidth];
      unrolled<4>([&](auto block) {
        unrolled<2>([&](auto part) {
          Ints sums[kWidth * kCodes];
          unrolled<kWidth * kCodes>([&](auto c) { sums[c.value] = all_ints(at.side[c.value]); });
          at.planes = unknown(at.planes);  // or the first half's planes would wait for this one in registers
          add_products<Codes, kWide, 4 * part.value, 4 * part.value + 4>(at, sums);
          const Lanes scale = load(factors + 16 * (8 * half + 2 * block.value + part.value));
          add_scaled<block.value + part.value == 0, kCodes>(sums, scale, scaled);
          at.side += kWidth * kCodes;
        });
        next_block<kWidth * kCodes>(at, Codes::kBytes);
      });
      unrolled<kWidth>([&](auto c) {
        totals[c.value] = multiply_add(scaled[c.value], all(at.scales[c.value]), totals[c.value]);
      });
      at.scales += kWidth;
    }
  }
};

/// Unless codes are taken out of their planes before (linear_int8_many.h), every tile does so anew, mostly on
/// pipes that products leave idle.
template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kCodes, int kWidth>
[[gnu::flatten]] void tile(const ChunkRun& run, const ActivationTile& x, float* sums) {
  Lanes totals[kWidth];
  unrolled<kWidth>([&](auto c) { totals[c.value] = load(sums + kRows * c.value); });
  Cursor at{run.chunks, x.codes, x.scales, x.side};
  const float* factors = run.factors;
  for (int64_t left = run.blocks; left > 0; left -= kChunkBlocks, factors += kChunkFactors) {
    const int64_t blocks = left < kChunkBlocks ? left : kChunkBlocks;
    if constexpr (!std::is_same_v<Codes, ExpandedCodes>) at.planes += kFormat.header_bytes(blocks);
    Form::template chunk<Codes, kCodes>(factors, blocks, at, totals);
  }
  unrolled<kWidth>([&](auto c) { store(sums + kRows * c.value, totals[c.value]); });
}

}  // namespace
}  // namespace martlet::ops::cpu

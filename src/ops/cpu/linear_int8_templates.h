#pragma once

// Products with int8 activations over the lanes of one `int8_lanes_*.h`, which the including file includes
// before. See linear_int8_kernels.h for the order of sums.

#include <bit>
#include <utility>

#include "ops/cpu/linear_int8_kernels.h"

namespace martlet::ops::cpu {
namespace {

constexpr int kVectors = 8;  // of a block: four columns each
constexpr int64_t kVectorBytes = 64;
constexpr int64_t kRows = kGroupRows;

// How codes lie. `at<j>(planes)` is vector j of the block whose planes stand there.

struct FourBits {
  static constexpr int64_t kBytes = 4 * kVectorBytes;
  template <int j>
  static Bytes at(const std::byte* planes) {
    const Bytes plane = load_bytes(planes + j % 4 * kVectorBytes);
    return j < 4 ? low_nibbles(plane) : high_nibbles(plane);
  }
};

alignas(16) constexpr uint8_t kIq4NlLevels[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                  129, 141, 153, 166, 181, 197, 217, 241};

struct FourBitLevels {
  static constexpr int64_t kBytes = FourBits::kBytes;
  template <int j>
  static Bytes at(const std::byte* planes) {
    return lookup(kIq4NlLevels, FourBits::at<j>(planes));
  }
};

struct FiveBits {
  static constexpr int64_t kBytes = 5 * kVectorBytes;
  template <int j>
  static Bytes at(const std::byte* planes) {
    return with_fifth_bit<j>(FourBits::at<j>(planes), load_bytes(planes + 4 * kVectorBytes));
  }
};

struct SixBits {
  static constexpr int64_t kBytes = 6 * kVectorBytes;
  template <int j>
  static Bytes at(const std::byte* planes) {
    return with_upper_pair<j % 4>(FourBits::at<j>(planes), load_bytes(planes + (4 + j / 4) * kVectorBytes));
  }
};

struct EightBits {
  static constexpr int64_t kBytes = 8 * kVectorBytes;
  template <int j>
  static Bytes at(const std::byte* planes) {
    return load_bytes(planes + j * kVectorBytes);
  }
};

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
    // Vectors that share a plane follow each other, so that it need not stay in a register.
    constexpr int j = kEnd - kFirst == kVectors ? step.value / 2 + step.value % 2 * 4 : kFirst + step.value;
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

/// The same as floats, where 255 times a sum may not fit an integer.
template <int kCodes>
[[gnu::always_inline]] inline Lanes floats_of_codes(const Ints* sums) {
  if constexpr (kCodes == 1)
    return to_lanes(sums[0]);
  else
    return multiply_add(to_lanes(sums[0]), all(kFirstCodeSteps), to_lanes(sums[1]));
}

/// totals = or += sums * scale. Products of integers run beside those of bytes, products of floats do not.
template <bool kFirst, int kWidth>
[[gnu::always_inline]] inline void add_scaled(const Ints (&sums)[kWidth], Ints scale,
                                              Ints (&totals)[kWidth]) {
  unrolled<kWidth>([&](auto c) {
    const Ints scaled = multiply_ints(sums[c.value], scale);
    totals[c.value] = kFirst ? scaled : add(totals[c.value], scaled);
  });
}

template <int kCodesEach>
[[gnu::always_inline]] inline void next_block(Cursor& at, int64_t bytes) {
  at.planes += bytes;
  at.codes += 32 * kCodesEach;
}

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
      next_block<kWidth * kCodes>(at, Codes::kBytes);
      at.scales += kWidth;
      at.side += kWidth * kCodes;
    }
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

/// The four bytes of each lane, one after another, as integers.
inline void store_bytes_as_ints(Ints words, float* to) {
  store_ints(to, bit_and(words, 0xff));
  store_ints(to + 16, bit_and(shift_right<8>(words), 0xff));
  store_ints(to + 32, bit_and(shift_right<16>(words), 0xff));
  store_ints(to + 48, shift_right<24>(words));
}

/// The four bytes of each lane as two vectors of 16-bit pairs.
inline void store_bytes_as_pairs(Ints words, float* to) {
  store_ints(to, bit_or(bit_and(words, 0xff), shift_left<8>(bit_and(words, 0xff00))));
  const Ints upper = shift_right<16>(words);
  store_ints(to + 16, bit_or(bit_and(upper, 0xff), shift_left<8>(bit_and(upper, 0xff00))));
}

struct SubScalesAndMinimaForm {
  static constexpr bool kWide = false;
  static constexpr int64_t kD = 8, kMinusDmin = 9, kPairs = 10;  // vectors of factors after the sub-scales

  /// Scales and minima of bits.h, for sixteen rows at once.
  static void read_factors(const std::byte* header, int64_t, float* factors) {
    const Ints scales = load_ints(header + kVectorBytes);
    const Ints minima = load_ints(header + 2 * kVectorBytes);
    const Ints low = load_ints(header + 3 * kVectorBytes);
    const auto upper = [](Ints words) { return bit_and(shift_right<2>(words), 0x30303030); };
    store_bytes_as_ints(bit_and(scales, 0x3f3f3f3f), factors);
    store_bytes_as_ints(bit_or(bit_and(low, 0x0f0f0f0f), upper(scales)), factors + 64);
    store(factors + 16 * kD, load_f16(header));
    store(factors + 16 * kMinusDmin, multiply(load_f16(header + 32), all(-1)));
    store_bytes_as_pairs(bit_and(minima, 0x3f3f3f3f), factors + 16 * kPairs);
    store_bytes_as_pairs(bit_or(bit_and(shift_right<4>(low), 0x0f0f0f0f), upper(minima)),
                         factors + 16 * (kPairs + 2));
  }

  template <typename Codes, int kCodes, int kWidth>
  [[gnu::always_inline]] static void chunk(const float* factors, int64_t, Cursor& at,
                                           Lanes (&totals)[kWidth]) {
    for (int64_t half = 0; half < 2; ++half) {
      Ints scaled[kWidth * kCodes];
      unrolled<4>([&](auto block) {
        Ints sums[kWidth * kCodes];
        unrolled<kWidth * kCodes>([&](auto c) { sums[c.value] = no_ints(); });
        add_products<Codes, kWide, 0, kVectors>(at, sums);
        add_scaled<block.value == 0>(sums, load_ints(factors + 16 * (4 * half + block.value)), scaled);
        next_block<kWidth * kCodes>(at, Codes::kBytes);
      });
      const Lanes d = load(factors + 16 * kD);
      const Lanes minus_dmin = load(factors + 16 * kMinusDmin);
      const Ints first = load_ints(factors + 16 * (kPairs + 2 * half));
      const Ints second = load_ints(factors + 16 * (kPairs + 2 * half + 1));
      unrolled<kWidth>([&](auto c) {
        Ints minima[kCodes];
        unrolled<kCodes>([&](auto code) {
          const int32_t* side = at.side + kCodes * c.value + code.value;
          minima[code.value] =
              add(multiply_pairs(first, side[0]), multiply_pairs(second, side[kWidth * kCodes]));
        });
        const Lanes taken_off = multiply(floats_of_codes<kCodes>(minima), minus_dmin);
        const Lanes both = multiply_add(floats_of_codes<kCodes>(scaled + kCodes * c.value), d, taken_off);
        totals[c.value] = multiply_add(both, all(at.scales[c.value]), totals[c.value]);
      });
      at.scales += kWidth;
      at.side += 2 * kWidth * kCodes;
    }
  }
};

struct SubScalesForm {
  static constexpr bool kWide = false;
  static constexpr int64_t kD = 16;

  static void read_factors(const std::byte* header, int64_t, float* factors) {
    for (int64_t sub = 0; sub < 16; ++sub)
      store_ints(factors + 16 * sub, load_signed_bytes(header + 16 * sub));
    store(factors + 16 * kD, load_f16(header + 256));
  }

  template <typename Codes, int kCodes, int kWidth>
  [[gnu::always_inline]] static void chunk(const float* factors, int64_t, Cursor& at,
                                           Lanes (&totals)[kWidth]) {
    for (int64_t half = 0; half < 2; ++half) {
      Ints scaled[kWidth * kCodes];
      unrolled<4>([&](auto block) {
        unrolled<2>([&](auto part) {
          Ints sums[kWidth * kCodes];
          unrolled<kWidth * kCodes>([&](auto c) { sums[c.value] = all_ints(at.side[c.value]); });
          at.planes = unknown(at.planes);  // or the first half's planes would wait for this one in registers
          add_products<Codes, kWide, 4 * part.value, 4 * part.value + 4>(at, sums);
          const Ints scale = load_ints(factors + 16 * (8 * half + 2 * block.value + part.value));
          add_scaled<block.value + part.value == 0>(sums, scale, scaled);
          at.side += kWidth * kCodes;
        });
        next_block<kWidth * kCodes>(at, Codes::kBytes);
      });
      const Lanes d = load(factors + 16 * kD);
      unrolled<kWidth>([&](auto c) {
        const Lanes sum = floats_of_codes<kCodes>(scaled + kCodes * c.value);
        totals[c.value] = multiply_add(sum, multiply(d, all(at.scales[c.value])), totals[c.value]);
      });
      at.scales += kWidth;
    }
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

/// Codes are taken out of their planes for every tile anew: that runs on pipes which products leave idle, and
/// packed planes are fewer bytes to load than expanded ones.
template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kCodes, int kWidth>
[[gnu::flatten]] void tile(const ChunkRun& run, const ActivationTile& x, float* sums) {
  Lanes totals[kWidth];
  unrolled<kWidth>([&](auto c) { totals[c.value] = load(sums + kRows * c.value); });
  Cursor at{run.chunks, x.codes, x.scales, x.side};
  const float* factors = run.factors;
  for (int64_t left = run.blocks; left > 0; left -= kChunkBlocks, factors += kChunkFactors) {
    const int64_t blocks = left < kChunkBlocks ? left : kChunkBlocks;
    at.planes += kFormat.header_bytes(blocks);
    Form::template chunk<Codes, kCodes>(factors, blocks, at, totals);
  }
  unrolled<kWidth>([&](auto c) { store(sums + kRows * c.value, totals[c.value]); });
}

template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kCodes, int... kIndices>
constexpr Int8Loops int8_loops(std::integer_sequence<int, kIndices...>) {
  return {sizeof...(kIndices),
          row<Form, Codes, kFormat, kCodes>,
          {tile<Form, Codes, kFormat, kCodes, kIndices + 1>...}};
}

/// kMost: columns of a tile, codes counted.
template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kMost>
constexpr Int8Kernels int8_kernels_of() {
  return {&kFormat,
          Form::read_factors,
          {int8_loops<Form, Codes, kFormat, 1>(std::make_integer_sequence<int, kMost>()),
           int8_loops<Form, Codes, kFormat, 2>(std::make_integer_sequence<int, kMost / 2>())}};
}

/// Below this a block counts as zeros: steps / it must be finite.
constexpr int32_t kLeastBits = std::bit_cast<int32_t>(0x1p-100f);
constexpr int32_t kInfinityBits = 0x7f800000;

/// What a block's values are multiplied by, and what a step is worth. A block that is not finite gives NaN.
struct BlockScale {
  float inverse;
  float scale;
  BlockScale(int32_t greatest_bits, float steps) {
    const float most = float_of(greatest_bits);
    const bool is_usable = greatest_bits >= kLeastBits && greatest_bits < kInfinityBits;
    inverse = is_usable ? steps / most : 0.0f;
    scale = is_usable ? most / steps : greatest_bits < kLeastBits ? 0.0f : float_of(kInfinityBits + 1);
  }
};

/// The side word or words of one code of block `block`, from the sums of its halves. `side` is the code's
/// first, the next block's is `width` on.
inline void write_side(const ActivationForm& form, int32_t* side, int64_t width, int64_t block, int32_t first,
                       int32_t second) {
  switch (form.form) {
    case CodesForm::kScales:
      side[block * width] = -form.zero * (first + second);
      break;
    case CodesForm::kScalesAndMinima:
    case CodesForm::kScalesAndZeros:
      break;  // of all codes together
    case CodesForm::kSubScalesAndMinima: {
      int32_t& pair = side[block / 2 * width];
      const uint32_t bits = static_cast<uint32_t>(first + second) & 0xffffu;
      pair = static_cast<int32_t>(block % 2 == 0 ? bits : static_cast<uint32_t>(pair) | bits << 16);
      break;
    }
    case CodesForm::kSubScales:
      side[2 * block * width] = -form.zero * first;
      side[(2 * block + 1) * width] = -form.zero * second;
      break;
  }
}

/// Whole steps as codes: themselves, or 255 * first + second. The quotient is at least 1/510 from a tie.
template <int kCodes>
[[gnu::always_inline]] inline void split(Ints steps, Ints (&codes)[kCodes]) {
  if constexpr (kCodes == 1) {
    codes[0] = steps;
  } else {
    codes[0] = rounded(multiply(to_lanes(steps), all(1.0f / kFirstCodeSteps)));
    codes[1] = add(subtract(steps, shift_left<8>(codes[0])), codes[0]);
  }
}

template <int kCodes>
void quantise_to(const float* x, int64_t columns, const ActivationForm& form, const ActivationColumn& to) {
  const int64_t step = form.scale_columns();
  const int64_t width = to.width * kCodes;
  for (int64_t first = 0; first < columns; first += step) {
    Ints most = magnitude_bits(load(x + first));
    for (int64_t i = 16; i < step; i += 16) most = max(most, magnitude_bits(load(x + first + i)));
    const BlockScale scale(greatest(most), form.steps());
    to.scales[first / step * to.width] = scale.scale;
    for (int64_t i = first; i < first + step; i += 32) {
      const int64_t block = i / 32;
      Ints halves[2][kCodes];
      for (int64_t half = 0; half < 2; ++half) {
        Ints steps = no_ints();
        if (scale.inverse != 0) steps = rounded(multiply(load(x + i + 16 * half), all(scale.inverse)));
        split<kCodes>(steps, halves[half]);
      }
      int32_t all_codes = 0;
      for (int code = 0; code < kCodes; ++code) {
        int8_t* codes = to.codes + (block * width + code) * 32;
        store_low_bytes(codes, halves[0][code]);
        store_low_bytes(codes + 16, halves[1][code]);
        const int32_t sums[2] = {sum(halves[0][code]), sum(halves[1][code])};
        write_side(form, to.side + code, width, block, sums[0], sums[1]);
        all_codes = kFirstCodeSteps * all_codes + sums[0] + sums[1];
      }
      if (form.form == CodesForm::kScalesAndMinima)
        to.side[block * width] = std::bit_cast<int32_t>(scale.scale * static_cast<float>(all_codes));
    }
  }
}

inline void quantise(const float* x, int64_t columns, const ActivationForm& form,
                     const ActivationColumn& to) {
  if (form.codes == 1)
    quantise_to<1>(x, columns, form, to);
  else
    quantise_to<2>(x, columns, form, to);
}

}  // namespace
}  // namespace martlet::ops::cpu

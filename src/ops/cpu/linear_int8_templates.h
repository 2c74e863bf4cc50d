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

/// What a tile walks through, block after block.
struct Cursor {
  const std::byte* planes;
  const int8_t* codes;
  const float* scales;
  const int32_t* side;
};

inline float float_of(int32_t bits) {
  return std::bit_cast<float>(bits);
}

/// sums += vectors [kFirst, kEnd) of the block times the activations.
template <typename Codes, bool kWide, int kFirst, int kEnd, int kWidth>
[[gnu::always_inline]] inline void add_products(const Cursor& at, Ints (&sums)[kWidth]) {
  unrolled<kEnd - kFirst>([&](auto step) {
    constexpr int j = kFirst + step.value;
    const Bytes codes = Codes::template at<j>(at.planes);
    unrolled<kWidth>(
        [&](auto c) { sums[c.value] = dot<kWide>(sums[c.value], codes, at.codes + 32 * c.value + 4 * j); });
  });
}

template <int kWidth>
[[gnu::always_inline]] inline void next_block(Cursor& at, int64_t bytes) {
  at.planes += bytes;
  at.codes += 32 * kWidth;
}

// Forms. Each has its factors (from a chunk's header) and `chunk`, which adds a chunk to the totals.

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

  template <typename Codes, int kWidth>
  [[gnu::always_inline]] static void chunk(const float* factors, int64_t blocks, Cursor& at,
                                           Lanes (&totals)[kWidth]) {
    for (int64_t block = 0; block < blocks; ++block) {
      Ints sums[kWidth];
      unrolled<kWidth>([&](auto c) {
        if constexpr (kMinima)
          sums[c.value] = no_ints();
        else
          sums[c.value] = kWide ? wide_start(at.side[c.value]) : all_ints(at.side[c.value]);
      });
      add_products<Codes, kWide, 0, kVectors>(at, sums);
      const Lanes scale = load(factors + 16 * block);
      unrolled<kWidth>([&](auto c) {
        totals[c.value] =
            multiply_add(to_lanes(sums[c.value]), multiply(scale, all(at.scales[c.value])), totals[c.value]);
      });
      if constexpr (kMinima) {
        const Lanes minimum = load(factors + 16 * (kChunkBlocks + block));
        unrolled<kWidth>([&](auto c) {
          totals[c.value] = multiply_add(minimum, all(float_of(at.side[c.value])), totals[c.value]);
        });
      }
      next_block<kWidth>(at, Codes::kBytes);
      at.scales += kWidth;
      at.side += kWidth;
    }
  }
};

/// The four bytes of each lane, one after another, as f32.
inline void store_bytes_as_floats(Ints words, float* to) {
  store(to, to_lanes(bit_and(words, 0xff)));
  store(to + 16, to_lanes(bit_and(shift_right<8>(words), 0xff)));
  store(to + 32, to_lanes(bit_and(shift_right<16>(words), 0xff)));
  store(to + 48, to_lanes(shift_right<24>(words)));
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
    store_bytes_as_floats(bit_and(scales, 0x3f3f3f3f), factors);
    store_bytes_as_floats(bit_or(bit_and(low, 0x0f0f0f0f), upper(scales)), factors + 64);
    store(factors + 16 * kD, load_f16(header));
    store(factors + 16 * kMinusDmin, multiply(load_f16(header + 32), all(-1)));
    store_bytes_as_pairs(bit_and(minima, 0x3f3f3f3f), factors + 16 * kPairs);
    store_bytes_as_pairs(bit_or(bit_and(shift_right<4>(low), 0x0f0f0f0f), upper(minima)),
                         factors + 16 * (kPairs + 2));
  }

  template <typename Codes, int kWidth>
  [[gnu::always_inline]] static void chunk(const float* factors, int64_t, Cursor& at,
                                           Lanes (&totals)[kWidth]) {
    for (int64_t half = 0; half < 2; ++half) {
      Lanes scaled[kWidth];
      unrolled<4>([&](auto block) {
        Ints sums[kWidth];
        unrolled<kWidth>([&](auto c) { sums[c.value] = no_ints(); });
        add_products<Codes, kWide, 0, kVectors>(at, sums);
        const Lanes scale = load(factors + 16 * (4 * half + block.value));
        unrolled<kWidth>([&](auto c) {
          const Lanes sum = to_lanes(sums[c.value]);
          scaled[c.value] =
              block.value == 0 ? multiply(sum, scale) : multiply_add(sum, scale, scaled[c.value]);
        });
        next_block<kWidth>(at, Codes::kBytes);
      });
      const Lanes d = load(factors + 16 * kD);
      const Lanes minus_dmin = load(factors + 16 * kMinusDmin);
      const Ints first = load_ints(factors + 16 * (kPairs + 2 * half));
      const Ints second = load_ints(factors + 16 * (kPairs + 2 * half + 1));
      unrolled<kWidth>([&](auto c) {
        const Ints minima =
            dot_pairs(dot_pairs(no_ints(), first, at.side[c.value]), second, at.side[kWidth + c.value]);
        const Lanes both = multiply_add(scaled[c.value], d, multiply(to_lanes(minima), minus_dmin));
        totals[c.value] = multiply_add(both, all(at.scales[c.value]), totals[c.value]);
      });
      at.scales += kWidth;
      at.side += 2 * kWidth;
    }
  }
};

struct SubScalesForm {
  static constexpr bool kWide = false;
  static constexpr int64_t kD = 16;

  static void read_factors(const std::byte* header, int64_t, float* factors) {
    for (int64_t sub = 0; sub < 16; ++sub)
      store(factors + 16 * sub, to_lanes(load_signed_bytes(header + 16 * sub)));
    store(factors + 16 * kD, load_f16(header + 256));
  }

  template <typename Codes, int kWidth>
  [[gnu::always_inline]] static void chunk(const float* factors, int64_t, Cursor& at,
                                           Lanes (&totals)[kWidth]) {
    for (int64_t half = 0; half < 2; ++half) {
      Lanes scaled[kWidth];
      unrolled<4>([&](auto block) {
        unrolled<2>([&](auto part) {
          Ints sums[kWidth];
          unrolled<kWidth>([&](auto c) { sums[c.value] = all_ints(at.side[c.value]); });
          add_products<Codes, kWide, 4 * part.value, 4 * part.value + 4>(at, sums);
          const Lanes scale = load(factors + 16 * (8 * half + 2 * block.value + part.value));
          unrolled<kWidth>([&](auto c) {
            const Lanes sum = to_lanes(sums[c.value]);
            scaled[c.value] = block.value + part.value == 0 ? multiply(sum, scale)
                                                            : multiply_add(sum, scale, scaled[c.value]);
          });
          at.side += kWidth;
        });
        next_block<kWidth>(at, Codes::kBytes);
      });
      const Lanes d = load(factors + 16 * kD);
      unrolled<kWidth>([&](auto c) {
        totals[c.value] =
            multiply_add(scaled[c.value], multiply(d, all(at.scales[c.value])), totals[c.value]);
      });
      at.scales += kWidth;
    }
  }
};

/// A group is read once, front to back, and the next follows it in memory. The processor sees such a stream
/// by itself: calling for lines ahead of use made every format slower (q6_k by a third).
template <typename Form, typename Codes, const InterleavedFormat& kFormat>
void one_column(const std::byte* group, int64_t columns, const ActivationTile& x, float* out) {
  Lanes totals[1] = {no_lanes()};
  Cursor at{group, x.codes, x.scales, x.side};
  alignas(64) float factors[kChunkFactors];
  for (int64_t left = columns / kCodesBlock; left > 0; left -= kChunkBlocks) {
    const int64_t blocks = left < kChunkBlocks ? left : kChunkBlocks;
    const int64_t header = kFormat.header_bytes(blocks);
    Form::read_factors(at.planes, blocks, factors);
    at.planes += header;
    Form::template chunk<Codes>(factors, blocks, at, totals);
  }
  store(out, totals[0]);
}

template <typename Form, typename Codes, const InterleavedFormat& kFormat>
void expand(const std::byte* chunk, int64_t blocks, std::byte* codes, float* factors) {
  Form::read_factors(chunk, blocks, factors);
  chunk += kFormat.header_bytes(blocks);
  for (int64_t block = 0; block < blocks; ++block, chunk += Codes::kBytes)
    unrolled<kVectors>([&](auto j) {
      store_bytes(codes, Codes::template at<j.value>(chunk));
      codes += kVectorBytes;
    });
}

template <typename Form, int kWidth>
void tile(const ExpandedChunks& chunks, const ActivationTile& x, float* sums) {
  Lanes totals[kWidth];
  unrolled<kWidth>([&](auto c) { totals[c.value] = load(sums + kRows * c.value); });
  Cursor at{chunks.codes, x.codes, x.scales, x.side};
  const float* factors = chunks.factors;
  for (int64_t left = chunks.blocks; left > 0; left -= kChunkBlocks, factors += kChunkFactors)
    Form::template chunk<EightBits>(factors, left < kChunkBlocks ? left : kChunkBlocks, at, totals);
  unrolled<kWidth>([&](auto c) { store(sums + kRows * c.value, totals[c.value]); });
}

template <typename Form, typename Codes, const InterleavedFormat& kFormat, int... kIndices>
constexpr Int8Kernels int8_kernels_for(std::integer_sequence<int, kIndices...>) {
  return {&kFormat,
          sizeof...(kIndices),
          one_column<Form, Codes, kFormat>,
          expand<Form, Codes, kFormat>,
          {tile<Form, kIndices + 1>...}};
}

template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kMost>
constexpr Int8Kernels int8_kernels_of() {
  return int8_kernels_for<Form, Codes, kFormat>(std::make_integer_sequence<int, kMost>());
}

/// Below this a block counts as zeros: 127 / it must be finite.
constexpr int32_t kLeastBits = std::bit_cast<int32_t>(0x1p-100f);
constexpr int32_t kInfinityBits = 0x7f800000;

/// What a block's values are multiplied by, and what a step is worth. A block that is not finite gives NaN.
struct BlockScale {
  float inverse;
  float scale;
  explicit BlockScale(int32_t greatest_bits) {
    const float most = float_of(greatest_bits);
    const bool is_usable = greatest_bits >= kLeastBits && greatest_bits < kInfinityBits;
    inverse = is_usable ? 127.0f / most : 0.0f;
    scale = is_usable ? most / 127.0f : greatest_bits < kLeastBits ? 0.0f : float_of(kInfinityBits + 1);
  }
};

/// The side word or words of block `block`, from the sums of its halves.
inline void write_side(const ActivationForm& form, const ActivationColumn& to, int64_t block, float scale,
                       int32_t first, int32_t second) {
  const int64_t width = to.width;
  switch (form.form) {
    case CodesForm::kScales:
      to.side[block * width] = -form.zero * (first + second);
      break;
    case CodesForm::kScalesAndMinima:
      to.side[block * width] = std::bit_cast<int32_t>(scale * static_cast<float>(first + second));
      break;
    case CodesForm::kSubScalesAndMinima: {
      int32_t& pair = to.side[block / 2 * width];
      const uint32_t bits = static_cast<uint32_t>(first + second) & 0xffffu;
      pair = static_cast<int32_t>(block % 2 == 0 ? bits : static_cast<uint32_t>(pair) | bits << 16);
      break;
    }
    case CodesForm::kSubScales:
      to.side[2 * block * width] = -form.zero * first;
      to.side[(2 * block + 1) * width] = -form.zero * second;
      break;
  }
}

inline void quantise(const float* x, int64_t columns, const ActivationForm& form,
                     const ActivationColumn& to) {
  const int64_t step = form.scale_columns();
  for (int64_t first = 0; first < columns; first += step) {
    Ints most = magnitude_bits(load(x + first));
    for (int64_t i = 16; i < step; i += 16) most = max(most, magnitude_bits(load(x + first + i)));
    const BlockScale scale(greatest(most));
    to.scales[first / step * to.width] = scale.scale;
    for (int64_t i = first; i < first + step; i += 32) {
      const int64_t block = i / 32;
      Ints halves[2] = {no_ints(), no_ints()};
      if (scale.inverse != 0)
        for (int64_t half = 0; half < 2; ++half)
          halves[half] = rounded(multiply(load(x + i + 16 * half), all(scale.inverse)));
      int8_t* codes = to.codes + block * 32 * to.width;
      store_low_bytes(codes, halves[0]);
      store_low_bytes(codes + 16, halves[1]);
      write_side(form, to, block, scale.scale, sum(halves[0]), sum(halves[1]));
    }
  }
}

}  // namespace
}  // namespace martlet::ops::cpu

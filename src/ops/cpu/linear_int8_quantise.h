#pragma once

// A row of activations rounded to int8 codes.

#include "ops/cpu/linear_int8_codes.h"

namespace martlet::ops::cpu {
namespace {

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

/// Of two pairs of signed 16-bit numbers.
inline int32_t sum_of_products(int32_t a, int32_t b) {
  return static_cast<int16_t>(a) * static_cast<int16_t>(b) + (a >> 16) * (b >> 16);
}

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
      int32_t* of_four = side + block / 4 * 3 * width;
      int32_t& pair = of_four[block % 4 / 2 * width];
      const uint32_t bits = static_cast<uint32_t>(first + second) & 0xffffu;
      pair = static_cast<int32_t>(block % 2 == 0 ? bits : static_cast<uint32_t>(pair) | bits << 16);
      if (block % 4 == 3) of_four[2 * width] = -sum_of_products(of_four[0], of_four[width]);
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

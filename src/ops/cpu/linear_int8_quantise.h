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

/// Two numbers as signed 16-bit halves of one.
inline int32_t pair_of(int32_t first, int32_t second) {
  return static_cast<int32_t>((static_cast<uint32_t>(first) & 0xffffu) | static_cast<uint32_t>(second) << 16);
}

/// Of two pairs of signed 16-bit numbers.
inline int32_t sum_of_products(int32_t a, int32_t b) {
  return static_cast<int16_t>(a) * static_cast<int16_t>(b) + (a >> 16) * (b >> 16);
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

/// Rounds the 32 values of a block to codes [kCodes][32]; gives the sums of each code's halves.
template <int kCodes>
[[gnu::always_inline]] inline void round_block(const float* x, float inverse, int8_t* codes,
                                               Ints (&halves)[2][kCodes]) {
  for (int half = 0; half < 2; ++half) {
    Ints steps = no_ints();
    if (inverse != 0) steps = rounded(multiply(load(x + 16 * half), all(inverse)));
    split<kCodes>(steps, halves[half]);
    for (int code = 0; code < kCodes; ++code)
      store_low_bytes(codes + 32 * code + 16 * half, halves[half][code]);
  }
}

/// Columns that share a scale, kBlocks of 32 of them. The first `side` word of each code is its own, the next
/// is `width` on.
template <CodesForm kForm, int kBlocks, int kCodes>
[[gnu::always_inline]] inline void quantise_blocks(const float* x, const ActivationForm& form, int8_t* codes,
                                                   float* to_scale, int32_t* side, int64_t width) {
  Ints most = magnitude_bits(load(x));
  unrolled<2 * kBlocks - 1>([&](auto i) { most = max(most, magnitude_bits(load(x + 16 * (i.value + 1)))); });
  const BlockScale scale(greatest(most), form.steps());
  *to_scale = scale.scale;
  int32_t sums[kBlocks][kCodes];
  for (int block = 0; block < kBlocks; ++block) {
    Ints halves[2][kCodes];
    round_block<kCodes>(x + 32 * block, scale.inverse, codes + block * width * 32, halves);
    for (int code = 0; code < kCodes; ++code) {
      if constexpr (kForm == CodesForm::kSubScales) {
        side[2 * block * width + code] = -form.zero * sum(halves[0][code]);
        side[(2 * block + 1) * width + code] = -form.zero * sum(halves[1][code]);
      } else {
        sums[block][code] = sum(add(halves[0][code], halves[1][code]));
      }
    }
  }
  if constexpr (kForm == CodesForm::kScalesAndMinima) {
    int32_t all_codes = 0;
    for (int code = 0; code < kCodes; ++code) all_codes = kFirstCodeSteps * all_codes + sums[0][code];
    *side = std::bit_cast<int32_t>(scale.scale * static_cast<float>(all_codes));
  }
  for (int code = 0; code < kCodes; ++code) {
    if constexpr (kForm == CodesForm::kScales) side[code] = -form.zero * sums[0][code];
    if constexpr (kForm == CodesForm::kSubScalesAndMinima) {
      const int32_t first = pair_of(sums[0][code], sums[1][code]);
      const int32_t second = pair_of(sums[2][code], sums[3][code]);
      side[code] = first;
      side[width + code] = second;
      side[2 * width + code] = -sum_of_products(first, second);
    }
  }
}

template <CodesForm kForm, int kCodes>
void quantise_as(const float* x, int64_t columns, const ActivationForm& form, const ActivationColumn& to) {
  constexpr bool kHasSubScales = kForm == CodesForm::kSubScales || kForm == CodesForm::kSubScalesAndMinima;
  constexpr int kBlocks = kHasSubScales ? 4 : 1;
  constexpr int kWords = kForm == CodesForm::kSubScales ? 8 : kHasSubScales ? 3 : 1;
  const int64_t width = to.width * kCodes;
  ActivationColumn at = to;
  for (const float* end = x + columns; x < end; x += 32 * kBlocks) {
    quantise_blocks<kForm, kBlocks, kCodes>(x, form, at.codes, at.scales, at.side, width);
    at.codes += 32 * kBlocks * width;
    at.scales += to.width;
    at.side += kWords * width;
  }
}

template <int kCodes>
void quantise_to(const float* x, int64_t columns, const ActivationForm& form, const ActivationColumn& to) {
  switch (form.form) {
    case CodesForm::kScales:
      return quantise_as<CodesForm::kScales, kCodes>(x, columns, form, to);
    case CodesForm::kScalesAndMinima:
    case CodesForm::kScalesAndZeros:
      return quantise_as<CodesForm::kScalesAndMinima, kCodes>(x, columns, form, to);
    case CodesForm::kSubScales:
      return quantise_as<CodesForm::kSubScales, kCodes>(x, columns, form, to);
    case CodesForm::kSubScalesAndMinima:
      return quantise_as<CodesForm::kSubScalesAndMinima, kCodes>(x, columns, form, to);
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

#pragma once

// Tiles of many rows for expanded codes of four bits, where one product serves two columns (S. Winograd, "A
// new algorithm for inner product", IEEE Transactions on Computers, 1968):
//   q0 a0 + q1 a1 = (q0 + a1) (q1 + a0) - q0 q1 - a0 a1.
// The last two are of the weights or of the activations alone: sums of the one are made once for a slice of a
// group, which all tiles share, those of the other when activations are rounded. What is left is half as many
// products, and additions of bytes, which run on pipes that products leave idle (docs/kernels.md).
//
// Column k of the first half of a block goes with column k + 16, as their codes share a byte. `vpdpbusd`
// multiplies unsigned bytes by signed ones, so that activations are kept moved: the first half's a0 as a0 -
// 8, the second's as a1 + 120. With activations of [-120, 120] and codes up to 15, unsigned sums are in [0,
// 255] and signed ones in [-128, 127]. What has to be added then is
//   -(q0 + 120) (q1 - 8) and -(a0 (a1 + 120) - 8 a1).
// Sums are integers and exact, so that results are those of plain tiles, bit for bit.

#include "ops/cpu/linear_int8_tiles.h"

namespace martlet::ops::cpu {
namespace {

constexpr int kMovedDown = 8, kMovedUp = kStepsForFourBits;
static_assert(kMovedUp + kStepsForFourBits + 15 <= 255 && kStepsForFourBits + kMovedDown <= 128);

struct PairedCursor : Cursor {
  const int32_t* pairs;
};

/// Which vector of a block is number `index` of those that are not multiplied in pairs.
template <int kPlanes>
constexpr int plain_vector(int index) {
  return kPlanes + index / 2 + index % 2 * 4;
}

/// sums = a block times its activations; on to the next one. kPlanes of the four are multiplied in pairs. The
/// others' products go among the pairs' additions: a processor looks ahead by less than a block, and either
/// would wait for its own pipes.
template <int kPlanes, int kWidth>
[[gnu::always_inline]] inline void multiply_in_pairs(PairedCursor& at, const float* factors,
                                                     Ints (&sums)[kWidth]) {
  constexpr int kPlain = 2 * (4 - kPlanes);  // vectors, two of each plane
  const Ints of_weights = load_ints(factors);
  unrolled<kWidth>([&](auto c) { sums[c.value] = add(of_weights, all_ints(at.pairs[c.value])); });
  unrolled<kPlanes>([&](auto v) __attribute__((always_inline)) {
    constexpr int kFirst = kPlain * v.value / kPlanes, kCount = kPlain * (v.value + 1) / kPlanes - kFirst;
    const Bytes low = ExpandedCodes::at<v.value>(at.planes);
    const Bytes high = ExpandedCodes::at<v.value + 4>(at.planes);
    Bytes plain[kCount + 1];
    unrolled<kCount>([&](auto i) __attribute__((always_inline)) {
      plain[i.value] = ExpandedCodes::at<plain_vector<kPlanes>(kFirst + i.value)>(at.planes);
    });
    unrolled<kWidth>([&](auto c) __attribute__((always_inline)) {
      const int8_t* codes = at.codes + 32 * c.value;
      const int8_t* four = codes + 4 * v.value;
      Ints& sum = sums[c.value];
      if constexpr (kCount > 0) sum = dot<false>(sum, plain[0], codes + 4 * plain_vector<kPlanes>(kFirst));
      sum = dot(sum, add_without_carry(low, four + 16), add_bytes(high, four));
      if constexpr (kCount > 1)
        sum = dot<false>(sum, plain[1], codes + 4 * plain_vector<kPlanes>(kFirst + 1));
    });
  });
  next_block<kWidth>(at, ExpandedCodes::kBytes);
  at.pairs += kWidth;
}

/// How a form multiplies in pairs: planes, columns of a tile and its loop. The numbers are the best of what
/// was measured.
template <typename Form>
struct PairsOf {
  static constexpr int kPlanes = 2, kMost = 10;

  template <int kWidth>
  [[gnu::always_inline]] static void add_chunks(const ChunkRun& run, PairedCursor& at, float* sums) {
    Lanes totals[kWidth];
    unrolled<kWidth>([&](auto c) { totals[c.value] = load(sums + kRows * c.value); });
    const float* factors = run.factors;
    for (int64_t left = run.blocks; left > 0; left -= kChunkBlocks, factors += kChunkFactors) {
      const int64_t blocks = left < kChunkBlocks ? left : kChunkBlocks;
      for (int64_t block = 0; block < blocks; ++block) {
        Ints products[kWidth];
        multiply_in_pairs<kPlanes>(at, factors + kPairFactors + 16 * block, products);
        Form::template add_block<1>(factors, block, at, products, totals);
      }
    }
    unrolled<kWidth>([&](auto c) { store(sums + kRows * c.value, totals[c.value]); });
  }
};

/// Totals stay in memory: sums before scaling take their registers.
template <>
struct PairsOf<SubScalesAndMinimaForm> {
  static constexpr int kPlanes = 2, kMost = 9;

  template <int kWidth>
  [[gnu::always_inline]] static void add_chunks(const ChunkRun& run, PairedCursor& at, float* sums) {
    const float* factors = run.factors;
    for (int64_t left = run.blocks; left > 0; left -= kChunkBlocks, factors += kChunkFactors) {
      for (int64_t half = 0; half < 2; ++half) {
        Lanes scaled[kWidth];
        SubScalesAndMinimaForm::scale_minima<1>(factors, half, at, scaled);
        unrolled<4>([&](auto block) {
          Ints products[kWidth];
          at.planes = unknown(at.planes);  // or later blocks' planes would wait in registers
          multiply_in_pairs<kPlanes>(at, factors + kPairFactors + 16 * (4 * half + block.value), products);
          add_scaled<false, 1>(products, load(factors + 16 * (4 * half + block.value)), scaled);
        });
        asm("" : "+r"(sums));  // or totals would take registers all the same
        unrolled<kWidth>([&](auto c) {
          float* total = sums + kRows * c.value;
          store(total, multiply_add(scaled[c.value], all(at.scales[c.value]), load(total)));
        });
        at.scales += kWidth;
        at.side += 3 * kWidth;
      }
    }
  }
};

template <typename Form, int kWidth>
[[gnu::flatten]] void paired_tile(const ChunkRun& run, const ActivationTile& x, float* sums) {
  PairedCursor at{{run.chunks, x.codes, x.scales, x.side}, x.pairs};
  PairsOf<Form>::template add_chunks<kWidth>(run, at, sums);
}

/// For each block of expanded codes what the weights alone take off.
template <typename Form>
void write_pair_factors(const std::byte* codes, int64_t blocks, float* factors) {
  for (int64_t block = 0; block < blocks; ++block, codes += ExpandedCodes::kBytes) {
    Ints products = no_ints();
    for (int v = 0; v < PairsOf<Form>::kPlanes; ++v) {
      const Bytes low = load_bytes(codes + v * kVectorBytes),
                  high = load_bytes(codes + (v + 4) * kVectorBytes);
      products = dot(products, add_bytes(low, all_bytes(kMovedUp)), add_bytes(high, all_bytes(-kMovedDown)));
    }
    store_ints(factors + kPairFactors + 16 * block, subtract(no_ints(), products));
  }
}

template <typename Form>
void move_codes(int64_t columns, const ActivationForm& form, const ActivationColumn& to) {
  for (int64_t block = 0; block < columns / kCodesBlock; ++block) {
    // Of formats with a zero, what makes up for it comes along.
    const int32_t zeros = form.form == CodesForm::kScales ? to.side[block * to.width] : 0;
    to.pairs[block * to.width] = zeros - move_pairs<PairsOf<Form>::kPlanes, kMovedDown, kMovedUp>(
                                             to.codes + block * to.width * kCodesBlock);
  }
}

}  // namespace
}  // namespace martlet::ops::cpu

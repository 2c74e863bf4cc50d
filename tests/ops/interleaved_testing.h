#pragma once

// Interleaved weights of every format, for tests of their products.

#include "ops/op_testing.h"
#include "ops/packed/interleaved.h"

namespace martlet::ops::testing {

/// A multiple of the format's block, several chunks or a part of one.
inline int64_t drawn_columns(Draws& draws, const PackedFormat& format) {
  return format.block_elements * draws.between(1, 1600 / format.block_elements);
}

/// The same weight for activations of two codes.
inline Weight for_two_codes(const Weight& interleaved) {
  return Weight(with_two_codes(interleaved.interleaved_format()), interleaved.storage(), interleaved.rows(),
                interleaved.columns());
}

/// A format and how many codes an activation has.
struct Form {
  const PackedFormat& format;
  int codes;
  Weight interleaved(const Weight& weight) const {
    return codes == 1 ? weight.interleaved() : for_two_codes(weight.interleaved());
  }
  Weight drawn(Draws& draws, int64_t rows, int64_t columns) const {
    return interleaved(drawn_weight(draws, format, rows, columns));
  }
};

template <typename Test>
void for_every_form(uint64_t seed, const Test& test) {
  Draws draws(seed);
  for (const InterleavedFormat* format : interleaved_formats())
    for (const int codes : {1, 2}) {
      SCOPED_TRACE(fmt::format("{}, {} codes", format->source->name, codes));
      test(draws, Form{*format->source, codes});
    }
}

}  // namespace martlet::ops::testing

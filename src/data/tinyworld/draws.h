#pragma once

// The random choices of one document, one after another.

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/random.h"

namespace martlet::data::tinyworld {

/// Draw k of document i of a stream is draw i * 2^20 + k of Philox: a document depends on seed, stream and
/// its own number alone. A document makes far fewer than 2^20 draws.
class Draws {
 public:
  Draws(uint64_t seed, std::string_view stream, uint64_t document)
      : philox_(seed, stream_of(stream)), next_(document << 20) {}

  /// Uniform in [0, bound); bound > 0.
  int64_t below(int64_t bound) {
    return static_cast<int64_t>(philox_.below(next_++, static_cast<uint64_t>(bound)));
  }
  /// Uniform in [low, high].
  int64_t within(int64_t low, int64_t high) { return low + below(high - low + 1); }
  /// True once in `of` times.
  bool one_in(int64_t of) { return below(of) == 0; }
  double uniform() { return philox_.uniform(next_++); }

  template <typename Container>
  const auto& pick(const Container& from) {
    return from[static_cast<size_t>(below(static_cast<int64_t>(std::size(from))))];
  }

  /// The index of a weight, with probability proportional to it; their sum must be above 0.
  size_t weighted(std::span<const double> weights) {
    double total = 0;
    for (const double weight : weights) total += weight;
    double left = uniform() * total;
    size_t last = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] <= 0) continue;
      last = i;
      left -= weights[i];
      if (left < 0) break;
    }
    return last;
  }

  /// Puts `items` into a random order (Fisher and Yates).
  template <typename Items>
  void shuffle(Items&& items) {
    for (size_t i = std::size(items); i > 1; --i)
      std::swap(items[i - 1], items[static_cast<size_t>(below(static_cast<int64_t>(i)))]);
  }

 private:
  Philox philox_;
  uint64_t next_;
};

}  // namespace martlet::data::tinyworld

#pragma once

// Counter-based random numbers: a draw depends on (seed, stream, index) only, never on threads, batch or
// order. Philox 4x32-10: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.

#include <array>
#include <cstdint>
#include <string_view>

namespace martlet {

/// A stable 64-bit number for a name (FNV-1a), to key streams by parameter or purpose.
uint64_t stream_of(std::string_view name);

class Philox {
 public:
  explicit Philox(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  /// The 128 random bits of block `index`.
  std::array<uint32_t, 4> block(uint64_t index) const;
  /// 32 random bits: word `index % 4` of block `index / 4`.
  uint32_t bits(uint64_t index) const { return block(index / 4)[index % 4]; }
  /// Uniform in [0, 1) with 53 bits; draw `index` of the stream of doubles.
  double uniform(uint64_t index) const;
  /// Standard normal by Box-Muller; draw `index`.
  double normal(uint64_t index) const;
  /// Uniform integer in [0, bound), without bias worth naming (64-bit multiply-shift); bound > 0.
  uint64_t below(uint64_t index, uint64_t bound) const;

 private:
  uint64_t seed_;
  uint64_t stream_;
};

}  // namespace martlet

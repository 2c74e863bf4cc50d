#pragma once

#include <cstdint>

namespace martlet::data {

/// A keyed bijection of [0, count): shuffling without an index in memory. Which value stands at a place is
/// known in constant time, so a shuffled order can be entered anywhere.
///
/// Four Feistel rounds over the smallest even number of bits that holds `count` (Luby and Rackoff, 1988: four
/// rounds of a pseudorandom function make a pseudorandom permutation), walking on while the value lies
/// outside [0, count) (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002): fewer than four
/// steps on average.
class Permutation {
 public:
  /// `count` >= 0.
  Permutation(uint64_t count, uint64_t key);

  /// `index` < count.
  uint64_t operator()(uint64_t index) const;
  uint64_t count() const { return count_; }

 private:
  uint64_t round_trip(uint64_t value) const;

  uint64_t count_;
  uint64_t key_;
  int half_bits_ = 1;
};

}  // namespace martlet::data

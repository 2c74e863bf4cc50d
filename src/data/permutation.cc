#include "data/permutation.h"

#include <bit>

namespace martlet::data {
namespace {

constexpr int kRounds = 4;

// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
uint64_t mixed(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

}  // namespace

Permutation::Permutation(uint64_t count, uint64_t key)
    : count_(count), key_(mixed(key + 0x9E3779B97F4A7C15u)) {
  const int bits = count < 2 ? 1 : std::bit_width(count - 1);
  half_bits_ = (bits + 1) / 2;
}

uint64_t Permutation::round_trip(uint64_t value) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t next =
        left ^ (mixed(right + key_ + static_cast<uint64_t>(round) * 0xD1B54A32D192ED03u) & mask);
    left = right;
    right = next;
  }
  return (left << half_bits_) | right;
}

uint64_t Permutation::operator()(uint64_t index) const {
  do {
    index = round_trip(index);
  } while (index >= count_);
  return index;
}

}  // namespace martlet::data

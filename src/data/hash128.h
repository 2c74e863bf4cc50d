#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace martlet::data {

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

/// MurmurHash3 x64 128 (Austin Appleby, 2011): for equality and spreading, not against an adversary. Two
/// different documents of a collection of 2^40 share a hash with probability below 2^-48.
Hash128 hash128(std::span<const std::byte> bytes, uint64_t seed = 0);
Hash128 hash128(std::string_view text, uint64_t seed = 0);

struct Hash128Hasher {
  size_t operator()(const Hash128& hash) const { return static_cast<size_t>(hash.low); }
};

}  // namespace martlet::data

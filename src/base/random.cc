#include "base/random.h"

#include <cmath>
#include <numbers>

namespace martlet {
namespace {

__extension__ using Wide = unsigned __int128;

// The multipliers and the key's increments of Philox 4x32 (Salmon et al. 2011, table 2 and section 3.2).
constexpr uint64_t kMultiplier0 = 0xD2511F53;
constexpr uint64_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kKeyStep0 = 0x9E3779B9;
constexpr uint32_t kKeyStep1 = 0xBB67AE85;
constexpr int kRounds = 10;

constexpr double kTwoToMinus53 = 0x1p-53;

uint32_t low_half(uint64_t value) {
  return static_cast<uint32_t>(value);
}
uint32_t high_half(uint64_t value) {
  return static_cast<uint32_t>(value >> 32);
}

/// Draw `index` of the stream of 64-bit words: half a block.
uint64_t word(const Philox& source, uint64_t index) {
  const std::array<uint32_t, 4> block = source.block(index / 2);
  const size_t first = (index % 2) * 2;
  return (uint64_t{block[first + 1]} << 32) | block[first];
}

}  // namespace

uint64_t stream_of(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char byte : name) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3u;
  return hash;
}

std::array<uint32_t, 4> Philox::block(uint64_t index) const {
  std::array<uint32_t, 4> counter{low_half(index), high_half(index), low_half(stream_), high_half(stream_)};
  uint32_t key0 = low_half(seed_);
  uint32_t key1 = high_half(seed_);
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {high_half(product1) ^ counter[1] ^ key0, low_half(product1),
               high_half(product0) ^ counter[3] ^ key1, low_half(product0)};
    key0 += kKeyStep0;
    key1 += kKeyStep1;
  }
  return counter;
}

double Philox::uniform(uint64_t index) const {
  return static_cast<double>(word(*this, index) >> 11) * kTwoToMinus53;
}

double Philox::normal(uint64_t index) const {
  // One block gives two uniforms and so two normals: the even draw takes the cosine, the odd one the sine.
  const uint64_t pair = index & ~uint64_t{1};
  // In (0, 1], so that the logarithm is finite.
  const double radius_draw = static_cast<double>((word(*this, pair) >> 11) + 1) * kTwoToMinus53;
  const double angle = 2.0 * std::numbers::pi * uniform(pair + 1);
  const double radius = std::sqrt(-2.0 * std::log(radius_draw));
  return radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

uint64_t Philox::below(uint64_t index, uint64_t bound) const {
  return static_cast<uint64_t>((Wide{word(*this, index)} * bound) >> 64);
}

}  // namespace martlet

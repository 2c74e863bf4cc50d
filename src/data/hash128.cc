#include "data/hash128.h"

#include <bit>
#include <cstring>

namespace martlet::data {
namespace {

constexpr uint64_t kFirst = 0x87C37B91114253D5u;
constexpr uint64_t kSecond = 0x4CF5AD432745937Fu;

uint64_t finish(uint64_t value) {
  value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCDu;
  value = (value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53u;
  return value ^ (value >> 33);
}

uint64_t mix_first(uint64_t word) {
  return std::rotl(word * kFirst, 31) * kSecond;
}
uint64_t mix_second(uint64_t word) {
  return std::rotl(word * kSecond, 33) * kFirst;
}

}  // namespace

Hash128 hash128(std::span<const std::byte> bytes, uint64_t seed) {
  uint64_t h1 = seed, h2 = seed;
  const size_t blocks = bytes.size() / 16;
  for (size_t block = 0; block < blocks; ++block) {
    uint64_t words[2];
    std::memcpy(words, bytes.data() + block * 16, sizeof words);
    h1 = (std::rotl(h1 ^ mix_first(words[0]), 27) + h2) * 5 + 0x52DCE729;
    h2 = (std::rotl(h2 ^ mix_second(words[1]), 31) + h1) * 5 + 0x38495AB5;
  }
  const size_t left = bytes.size() - blocks * 16;
  uint64_t tail[2] = {0, 0};
  if (left > 0) std::memcpy(tail, bytes.data() + blocks * 16, left);
  if (left > 8) h2 ^= mix_second(tail[1]);
  if (left > 0) h1 ^= mix_first(tail[0]);
  h1 ^= bytes.size();
  h2 ^= bytes.size();
  h1 += h2;
  h2 += h1;
  h1 = finish(h1);
  h2 = finish(h2);
  h1 += h2;
  return {h1, h2 + h1};
}

Hash128 hash128(std::string_view text, uint64_t seed) {
  return hash128(std::as_bytes(std::span(text)), seed);
}

}  // namespace martlet::data

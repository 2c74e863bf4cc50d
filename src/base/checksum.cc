#include "base/checksum.h"

#include <cstring>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include "base/crc32c.h"
#include "base/error.h"

namespace martlet {
namespace {

constexpr size_t kWord = sizeof(uint64_t);
constexpr size_t kStep = 4 * kWord;

/// `words` is a multiple of four.
void add_words(uint32_t* lanes, const std::byte* bytes, size_t words) {
  for (size_t i = 0; i < words; ++i)
    lanes[i % 4] = crc32c_of_word(lanes[i % 4], reinterpret_cast<const char*>(bytes + i * kWord));
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) void add_words_sse(uint32_t* lanes, const std::byte* bytes, size_t words) {
  uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
  for (size_t i = 0; i < words; i += 4, bytes += kStep) {
    uint64_t word[4];
    std::memcpy(word, bytes, sizeof word);
    a = _mm_crc32_u64(a, word[0]);
    b = _mm_crc32_u64(b, word[1]);
    c = _mm_crc32_u64(c, word[2]);
    d = _mm_crc32_u64(d, word[3]);
  }
  lanes[0] = static_cast<uint32_t>(a);
  lanes[1] = static_cast<uint32_t>(b);
  lanes[2] = static_cast<uint32_t>(c);
  lanes[3] = static_cast<uint32_t>(d);
}
#endif

using AddWords = void (*)(uint32_t* lanes, const std::byte* bytes, size_t words);

AddWords best_add_words() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2") != 0) return add_words_sse;
#endif
  return add_words;
}

}  // namespace

void Checksum::add(std::span<const std::byte> bytes) {
  if (count_ % kStep != 0)
    failed("a checksum went on after {} bytes, which is no multiple of {}", count_, kStep);
  const AddWords extend = best_add_words();
  const size_t whole = bytes.size() / kStep * kStep;
  extend(lanes_, bytes.data(), whole / kWord);
  if (whole < bytes.size()) {
    std::byte rest[kStep] = {};
    std::memcpy(rest, bytes.data() + whole, bytes.size() - whole);
    extend(lanes_, rest, kStep / kWord);
  }
  count_ += bytes.size();
}

uint32_t Checksum::value() const {
  char all[sizeof lanes_ + sizeof count_];
  std::memcpy(all, lanes_, sizeof lanes_);
  std::memcpy(all + sizeof lanes_, &count_, sizeof count_);
  return crc32c({all, sizeof all});
}

uint32_t checksum(std::span<const std::byte> bytes) {
  Checksum sum;
  sum.add(bytes);
  return sum.value();
}

}  // namespace martlet

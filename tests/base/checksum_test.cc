#include "base/checksum.h"

#include <cstring>
#include <gtest/gtest.h>
#include <vector>

#include "base/crc32c.h"
#include "base/random.h"

namespace martlet {
namespace {

std::vector<std::byte> drawn(size_t count, uint64_t seed) {
  const Philox random(seed);
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(random.bits(i));
  return bytes;
}

/// The definition: four CRCs of words in turn, then one of their registers and the count.
uint32_t defined(std::vector<std::byte> bytes) {
  const uint64_t count = bytes.size();
  bytes.resize((bytes.size() + 31) / 32 * 32);
  std::string lanes[4];
  for (size_t word = 0; word < bytes.size() / 8; ++word)
    lanes[word % 4].append(reinterpret_cast<const char*>(bytes.data()) + word * 8, 8);
  std::string all(24, '\0');
  for (size_t lane = 0; lane < 4; ++lane) {
    const uint32_t reg = ~crc32c(lanes[lane]);
    std::memcpy(all.data() + lane * 4, &reg, 4);
  }
  std::memcpy(all.data() + 16, &count, 8);
  return crc32c(all);
}

TEST(Checksum, IsFourCrcsOfWordsInTurn) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u) << "RFC 3720's check value";
  for (const size_t size : {0, 1, 7, 8, 31, 32, 33, 64, 1000, 4096, 4099})
    EXPECT_EQ(checksum(drawn(size, size)), defined(drawn(size, size))) << size;
}

TEST(Checksum, DoesNotDependOnThePieces) {
  const std::vector<std::byte> bytes = drawn(1003, 1);
  Checksum pieces;
  for (size_t at = 0; at < bytes.size(); at += 96)
    pieces.add(std::span(bytes).subspan(at, std::min<size_t>(96, bytes.size() - at)));
  EXPECT_EQ(pieces.value(), checksum(bytes));
}

TEST(Checksum, SeesAFlippedBitAMissingByteAndWordsThatChangedPlaces) {
  const std::vector<std::byte> bytes = drawn(777, 2);
  const uint32_t sum = checksum(bytes);
  for (size_t bit = 0; bit < bytes.size() * 8; bit += 5) {
    std::vector<std::byte> other = bytes;
    other[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    ASSERT_NE(checksum(other), sum) << bit;
  }
  EXPECT_NE(checksum(std::span(bytes).first(776)), sum);
  std::vector<std::byte> longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_NE(checksum(longer), sum);
  std::vector<std::byte> moved = bytes;
  std::swap_ranges(moved.begin(), moved.begin() + 8, moved.begin() + 8);
  EXPECT_NE(checksum(moved), sum);
  moved = bytes;
  std::swap_ranges(moved.begin(), moved.begin() + 8, moved.begin() + 32);
  EXPECT_NE(checksum(moved), sum);
}

}  // namespace
}  // namespace martlet

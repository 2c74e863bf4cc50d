// How codes lie in their planes, with the lanes in plain C++.
#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <vector>

#include "ops/cpu/int8_lanes_portable.h"
// The codes are written over the lanes above.
#include "ops/cpu/linear_int8_codes.h"

namespace martlet::ops::cpu {
namespace {

/// Whether a bit of the plane changes vector j.
template <typename Codes, int j>
bool depends_on(int64_t plane) {
  std::array<std::byte, static_cast<size_t>(Codes::kBytes)> planes{};
  const Bytes before = Codes::template at<j>(planes.data());
  std::fill_n(planes.data() + plane * kVectorBytes, kVectorBytes, std::byte{0xff});
  const Bytes after = Codes::template at<j>(planes.data());
  return std::memcmp(before.at, after.at, sizeof(after.at)) != 0;
}

/// Planes in the order in which kOrder's vectors first need them.
template <typename Codes>
std::vector<int64_t> planes_as_needed() {
  std::vector<int64_t> needed;
  std::vector<int> vectors;
  unrolled<kVectors>([&](auto step) {
    constexpr int j = Codes::kOrder[step.value];
    vectors.push_back(j);
    for (int64_t plane = 0; plane < Codes::kBytes / kVectorBytes; ++plane)
      if (depends_on<Codes, j>(plane) && std::find(needed.begin(), needed.end(), plane) == needed.end())
        needed.push_back(plane);
  });
  std::sort(vectors.begin(), vectors.end());
  EXPECT_EQ(vectors, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
  return needed;
}

template <typename Codes>
class CodePlanes : public ::testing::Test {};
using AllCodes = ::testing::Types<FourBits, FourBitLevels, FiveBits, SixBits, EightBits>;
TYPED_TEST_SUITE(CodePlanes, AllCodes);

TYPED_TEST(CodePlanes, AreFirstNeededInTheOrderOfMemory) {
  std::vector<int64_t> all(static_cast<size_t>(TypeParam::kBytes / kVectorBytes));
  for (size_t plane = 0; plane < all.size(); ++plane) all[plane] = static_cast<int64_t>(plane);
  EXPECT_EQ(planes_as_needed<TypeParam>(), all);
}

}  // namespace
}  // namespace martlet::ops::cpu

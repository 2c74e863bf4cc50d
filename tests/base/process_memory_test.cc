#include "base/process_memory.h"

#include <gtest/gtest.h>
#include <vector>

namespace martlet {
namespace {

constexpr size_t kBytes = size_t{64} << 20;

TEST(ProcessMemory, SeesWhatComesAndItsPeak) {
  reset_peak_memory();
  const ProcessMemory before = process_memory();
  {
    const std::vector<char> block(kBytes, 'x');
    EXPECT_GE(process_memory().now, before.now + static_cast<int64_t>(kBytes) * 9 / 10);
    EXPECT_GE(process_memory().anonymous, before.anonymous + static_cast<int64_t>(kBytes) * 9 / 10);
  }
  EXPECT_GE(process_memory().peak, before.now + static_cast<int64_t>(kBytes) * 9 / 10);
  EXPECT_LT(process_memory().now, before.now + static_cast<int64_t>(kBytes) / 2);
  reset_peak_memory();
  EXPECT_LT(process_memory().peak, before.now + static_cast<int64_t>(kBytes) / 2);
}

}  // namespace
}  // namespace martlet

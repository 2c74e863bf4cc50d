#include "ops/cpu_features.h"

#include <cstdint>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace martlet::ops {
namespace {

/// Whether the system lists this of the processor.
bool is_listed(const std::string& flag) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;)
      if (word == flag) return true;
    return false;
  }
  return false;
}

/// Whether this process holds the permission to use tiles, once it has been asked for.
bool is_permitted() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr long kTellPermitted = 0x1022, kAskFor = 0x1023, kTileData = 18;
  syscall(SYS_arch_prctl, kAskFor, kTileData);
  uint64_t permitted = 0;
  return syscall(SYS_arch_prctl, kTellPermitted, &permitted) == 0 && (permitted >> kTileData & 1) != 0;
#else
  return false;
#endif
}

TEST(CpuFeatures, TilesAreUsedWhereTheSystemGrantsThem) {
  for (const char* flag : {"avx2", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512vbmi",
                           "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"})
    if (!is_listed(flag)) GTEST_SKIP() << "no " << flag << " here";
  // What was switched off comes back.
  const CpuFeatures before = cpu_features();
  limit_cpu_features({.avx2 = true,
                      .avx512 = true,
                      .avx512_vnni = true,
                      .avx512_bf16 = true,
                      .amx_int8 = true,
                      .amx_bf16 = true});
  const bool is_used = cpu_features().amx_int8 && cpu_features().amx_bf16;
  limit_cpu_features(before);
  if (!is_permitted()) GTEST_SKIP() << "the system grants no tiles here";
  EXPECT_TRUE(is_used);
}

}  // namespace
}  // namespace martlet::ops

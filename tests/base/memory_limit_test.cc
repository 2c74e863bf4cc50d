#include "base/memory_limit.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/temporary_folder.h"

namespace martlet {
namespace {

class MemoryLimit : public ::testing::Test {
 protected:
  void group(const std::string& path, const std::string& limit, const std::string& usage,
             const std::string& stat, bool version1 = false) {
    const std::string at = folder_ / path;
    std::filesystem::create_directories(at);
    write_file(at + (version1 ? "/memory.limit_in_bytes" : "/memory.max"), limit + "\n");
    write_file(at + (version1 ? "/memory.usage_in_bytes" : "/memory.current"), usage + "\n");
    write_file(at + "/memory.stat", stat);
  }
  TemporaryFolder folder_;
};

TEST_F(MemoryLimit, IsTheLimitLessWhatIsHeldWithoutCacheThatCanGo) {
  group("a", "1000", "700", "anon 400\ninactive_file 100\nfile 5\n");
  EXPECT_EQ(cgroup_memory_left("0::/a\n", folder_.path()), 400u);
}

TEST_F(MemoryLimit, OfAllAncestorsTheTightestCounts) {
  group("a", "1000", "900", "inactive_file 0\n");
  group("a/b", "max", "900", "inactive_file 0\n");
  group("a/b/c", "5000", "100", "inactive_file 0\n");
  EXPECT_EQ(cgroup_memory_left("0::/a/b/c\n", folder_.path()), 100u);
  EXPECT_EQ(cgroup_memory_left("0::/a/b\n", folder_.path()), 100u);
}

TEST_F(MemoryLimit, Version1IsReadBesideVersion2) {
  group("memory/docker/7f", "2048", "1024", "inactive_file 1\ntotal_inactive_file 24\n", true);
  EXPECT_EQ(cgroup_memory_left("4:cpu:/x\n9:memory:/docker/7f\n", folder_.path()), 1048u);
}

TEST_F(MemoryLimit, WithoutALimitThereIsNone) {
  group("a", "max", "900", "");
  EXPECT_EQ(cgroup_memory_left("0::/a\n", folder_.path()), std::nullopt);
  EXPECT_EQ(cgroup_memory_left("0::/../other\n", folder_.path()), std::nullopt);
  EXPECT_EQ(cgroup_memory_left("nonsense", folder_.path()), std::nullopt);
  group("full", "1000", "1200", "inactive_file 0\n");
  EXPECT_EQ(cgroup_memory_left("0::/full\n", folder_.path()), 0u);
}

TEST(AvailableMemory, IsReadFromTheKernelsText) {
  EXPECT_EQ(memory_available_in("MemTotal:  9 kB\nMemAvailable:     3 kB\n"), 3072u);
  EXPECT_EQ(memory_available_in("MemTotal:  9 kB\n"), std::nullopt);
  ASSERT_TRUE(available_memory());
  EXPECT_GT(*available_memory(), 1u << 20);
}

}  // namespace
}  // namespace martlet

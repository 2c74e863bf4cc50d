#include "base/cpu_limit.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

#include "base/temporary_folder.h"
#include "base/thread_pool.h"

namespace martlet {
namespace {

class CpuLimit : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& content) {
    const std::filesystem::path path = mount_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  std::optional<double> quota(const std::string& memberships) {
    return cgroup_cpu_quota(memberships, mount_.path());
  }

  TemporaryFolder mount_;
};

TEST_F(CpuLimit, Version2QuotaOverPeriod) {
  put("a/b/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota("0::/a/b\n"), 1.5);
}

TEST_F(CpuLimit, Version2MaxIsNoLimit) {
  put("a/cpu.max", "max 100000\n");
  EXPECT_EQ(quota("0::/a\n"), std::nullopt);
}

TEST_F(CpuLimit, TheTightestAncestorCounts) {
  put("a/cpu.max", "200000 100000\n");
  put("a/b/cpu.max", "max 100000\n");
  put("a/b/c/cpu.max", "800000 100000\n");
  EXPECT_EQ(quota("0::/a/b/c\n"), 2.0);
}

TEST_F(CpuLimit, InsideAContainerTheRootOfTheMountIsTheGroup) {
  put("cpu.max", "50000 100000\n");
  EXPECT_EQ(quota("0::/\n"), 0.5);
  EXPECT_EQ(quota("0::/host/only/path\n"), 0.5);
  EXPECT_EQ(quota("0::/../../outside\n"), 0.5);
}

TEST_F(CpuLimit, Version1QuotaOverPeriod) {
  put("cpu,cpuacct/docker/7f/cpu.cfs_quota_us", "300000\n");
  put("cpu,cpuacct/docker/7f/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("5:memory:/docker/7f\n4:cpu,cpuacct:/docker/7f\n0::/\n"), 3.0);
  put("cpu/docker/8a/cpu.cfs_quota_us", "400000\n");
  put("cpu/docker/8a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("4:cpuacct,cpu:/docker/8a\n"), 4.0);
}

TEST_F(CpuLimit, Version1MinusOneIsNoLimit) {
  put("cpu/cpu.cfs_quota_us", "-1\n");
  put("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("4:cpu:/\n"), std::nullopt);
}

TEST_F(CpuLimit, NonsenseIsNoLimit) {
  put("cpu.max", "nonsense\n");
  for (const char* text : {"", "\n", "0", "0:", "0::", "::", "x:cpuset:/\n", "0::/a"})
    EXPECT_EQ(quota(text), std::nullopt) << text;
  put("cpu.max", "100 0\n");
  EXPECT_EQ(quota("0::/"), std::nullopt);
  put("cpu.max", "-5 100000\n");
  EXPECT_EQ(quota("0::/"), std::nullopt);
}

TEST_F(CpuLimit, TheAffinityMaskBoundsTheCpus) {
  EXPECT_GE(cpus_in_affinity_mask(), 1);
  EXPECT_LE(available_cpus(), cpus_in_affinity_mask());
}

}  // namespace
}  // namespace martlet

#include "base/cpu_limit.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sched.h>
#include <sstream>
#include <vector>

#include "base/thread_pool.h"

namespace martlet {
namespace {

// The kernel refuses masks smaller than its own; no machine has more CPUs than this.
constexpr int kLargestMask = 1 << 20;

std::string read_small(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<double> number(std::string_view text) {
  int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || value <= 0) return std::nullopt;
  return static_cast<double>(value);
}

/// "200000 100000" is two CPUs; "max 100000" is no limit.
std::optional<double> version2_limit(const std::string& folder) {
  std::istringstream words(read_small(folder + "/cpu.max"));
  std::string quota;
  std::string period;
  words >> quota >> period;
  const std::optional<double> granted = number(quota);
  const std::optional<double> of = number(period);
  return granted && of ? std::optional(*granted / *of) : std::nullopt;
}

std::optional<double> version1_limit(const std::string& folder) {
  const std::optional<double> granted = number(read_small(folder + "/cpu.cfs_quota_us"));
  const std::optional<double> of = number(read_small(folder + "/cpu.cfs_period_us"));
  return granted && of ? std::optional(*granted / *of) : std::nullopt;
}

/// The tightest limit from `group` up to the mount. Inside a container the path may name folders that only
/// the host sees; those are passed over.
template <typename Limit>
std::optional<double> tightest(const std::string& mount, std::string group, Limit limit) {
  std::optional<double> least;
  while (true) {
    // A process moved outside its namespace's root sees "/../other": nothing of that is mounted here.
    if (group.find("..") == std::string::npos) {
      if (const std::optional<double> here = limit(mount + group))
        least = std::min(least.value_or(*here), *here);
    }
    if (group.empty()) return least;
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

}  // namespace

std::optional<double> cgroup_cpu_quota(std::string_view memberships, const std::string& mount) {
  std::optional<double> least;
  const auto take = [&](std::optional<double> limit) {
    if (limit) least = std::min(least.value_or(*limit), *limit);
  };
  std::istringstream lines{std::string(memberships)};
  std::string line;
  while (std::getline(lines, line)) {
    // "0::/user.slice" is version 2, "4:cpu,cpuacct:/docker/7f" version 1.
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
    if (controllers.empty()) take(tightest(mount, group, version2_limit));
    if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      take(tightest(mount + "/" + controllers, group, version1_limit));
      if (controllers != "cpu") take(tightest(mount + "/cpu", group, version1_limit));
    }
  }
  return least;
}

int cpus_in_affinity_mask() {
  for (int capacity = 1024; capacity <= kLargestMask; capacity *= 2) {
    std::vector<cpu_set_t> mask(CPU_ALLOC_SIZE(capacity) / sizeof(cpu_set_t));
    const size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0) return std::max(1, CPU_COUNT_S(bytes, mask.data()));
  }
  return 1;
}

int available_cpus() {
  std::ifstream file("/proc/self/cgroup");
  std::ostringstream memberships;
  memberships << file.rdbuf();
  const int cpus = cpus_in_affinity_mask();
  const std::optional<double> quota = cgroup_cpu_quota(memberships.str(), "/sys/fs/cgroup");
  // Half a CPU more is worth a thread: the kernel shares the quota between them.
  return quota ? std::clamp(static_cast<int>(std::ceil(std::min(*quota, 1e6))), 1, cpus) : cpus;
}

}  // namespace martlet

#pragma once

// How many CPUs the kernel lets this process use: what the thread pool sizes itself by.

#include <optional>
#include <string>
#include <string_view>

namespace martlet {

/// CPUs granted by the cgroup's quota, for example 1.5; nothing where there is no limit. `memberships` is the
/// text of /proc/self/cgroup, `mount` the folder where cgroups are mounted (/sys/fs/cgroup). The tightest
/// limit of the group and its ancestors counts, in version 2 (cpu.max) and version 1 (cpu.cfs_quota_us over
/// cpu.cfs_period_us).
std::optional<double> cgroup_cpu_quota(std::string_view memberships, const std::string& mount);

/// CPUs in the affinity mask of the calling thread, at least 1.
int cpus_in_affinity_mask();

}  // namespace martlet

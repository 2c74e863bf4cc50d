#pragma once

// How much memory this process may still take.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace martlet {

/// Bytes that the cgroup still grants: its limit less what it holds, page cache that can be given back not
/// counted; nothing where there is no limit. `memberships` is the text of /proc/self/cgroup, `mount` the
/// folder where cgroups are mounted (/sys/fs/cgroup). The tightest of the group and its ancestors counts, in
/// version 2 (memory.max, memory.current) and version 1 (memory.limit_in_bytes, memory.usage_in_bytes).
std::optional<uint64_t> cgroup_memory_left(std::string_view memberships, const std::string& mount);

/// MemAvailable of the text of /proc/meminfo, in bytes; nothing when it is not there.
std::optional<uint64_t> memory_available_in(std::string_view meminfo);

/// The least of what the machine has and the cgroup grants; nothing when neither can be told.
std::optional<uint64_t> available_memory();

}  // namespace martlet

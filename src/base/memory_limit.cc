#include "base/memory_limit.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace martlet {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? std::optional(value) : std::nullopt;
}

/// The number behind `key` at the beginning of a line, or nothing.
std::optional<uint64_t> value_of(std::string_view text, std::string_view key) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const size_t digit = line.find_first_of("0123456789", key.size());
    return digit == std::string::npos ? std::nullopt : number(std::string_view(line).substr(digit));
  }
  return std::nullopt;
}

struct Names {
  std::string_view limit, usage, reclaimable;
};
constexpr Names kVersion2{"/memory.max", "/memory.current", "inactive_file "};
constexpr Names kVersion1{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file "};

std::optional<uint64_t> left_in(const std::string& folder, const Names& names) {
  const std::optional<uint64_t> limit = number(text_of(folder + std::string(names.limit)));  // "max": none
  const std::optional<uint64_t> usage = number(text_of(folder + std::string(names.usage)));
  if (!limit || !usage) return std::nullopt;
  const uint64_t cache = value_of(text_of(folder + "/memory.stat"), names.reclaimable).value_or(0);
  const uint64_t held = *usage - std::min(*usage, cache);
  return *limit - std::min(*limit, held);
}

}  // namespace

std::optional<uint64_t> cgroup_memory_left(std::string_view memberships, const std::string& mount) {
  std::optional<uint64_t> least;
  const auto take = [&](std::string folder, const std::string& group, const Names& names) {
    // A process outside its namespace's root sees "/../other": nothing of that is mounted here.
    if (group.find("..") != std::string::npos) return;
    for (std::string at = group;; at.resize(at.rfind('/'))) {
      if (const auto left = left_in(folder + at, names)) least = std::min(least.value_or(*left), *left);
      if (at.find('/') == std::string::npos) return;
    }
  };
  std::istringstream lines{std::string(memberships)};
  for (std::string line; std::getline(lines, line);) {
    // "0::/user.slice" is version 2, "9:memory:/docker/7f" version 1.
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
    if (controllers.empty()) take(mount, group, kVersion2);
    if (("," + controllers + ",").find(",memory,") != std::string::npos)
      take(mount + "/memory", group, kVersion1);
  }
  return least;
}

std::optional<uint64_t> memory_available_in(std::string_view meminfo) {
  const std::optional<uint64_t> kilobytes = value_of(meminfo, "MemAvailable:");
  return kilobytes ? std::optional(*kilobytes * 1024) : std::nullopt;
}

std::optional<uint64_t> available_memory() {
  const std::optional<uint64_t> machine = memory_available_in(text_of("/proc/meminfo"));
  const std::optional<uint64_t> group = cgroup_memory_left(text_of("/proc/self/cgroup"), "/sys/fs/cgroup");
  if (machine && group) return std::min(*machine, *group);
  return machine ? machine : group;
}

}  // namespace martlet

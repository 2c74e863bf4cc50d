#include "base/machine_facts.h"

#include <fmt/format.h>
#include <fstream>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cpu_limit.h"

namespace martlet {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

int64_t machine_memory() {
  return int64_t{sysconf(_SC_PHYS_PAGES)} * int64_t{sysconf(_SC_PAGESIZE)};
}

Json machine_facts() {
  utsname system{};
  uname(&system);
  Json facts;
  facts.set("processor", processor_name()).set("cpus", cpus_in_affinity_mask());
  facts.set("memory_bytes", machine_memory());
  facts.set("system", fmt::format("{} {} {}", system.sysname, system.release, system.machine));
  return facts;
}

}  // namespace martlet

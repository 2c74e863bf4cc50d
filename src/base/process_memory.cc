#include "base/process_memory.h"

#include <fstream>
#include <string>

namespace martlet {

ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const auto take = [&](const std::string& key, int64_t& into) {
      if (line.starts_with(key)) into = std::stoll(line.substr(key.size())) * 1024;
    };
    take("VmRSS:", memory.now);
    take("VmHWM:", memory.peak);
    take("RssAnon:", memory.anonymous);
  }
  return memory;
}

void reset_peak_memory() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

}  // namespace martlet

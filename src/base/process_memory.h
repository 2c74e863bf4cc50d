#pragma once

// What the system holds in memory for this process (proc(5), /proc/self/status).

#include <cstdint>

namespace martlet {

/// In bytes; 0 where it cannot be told.
struct ProcessMemory {
  int64_t now = 0;        ///< pages of files that are mapped and in memory included
  int64_t peak = 0;       ///< since the process began or `reset_peak_memory`
  int64_t anonymous = 0;  ///< of `now`, what is no file's
};
ProcessMemory process_memory();

/// The peak begins again from what is held now; where the system does not let it, it stays.
void reset_peak_memory();

}  // namespace martlet

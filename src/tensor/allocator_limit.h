#pragma once

#include <cstdint>

namespace martlet {

/// Freed blocks that devices keep for reuse beyond what was in use at once before: at most so many bytes, in
/// place of 512 MiB. For a process that must stay within a budget.
void keep_cached_memory_within(int64_t bytes);

}  // namespace martlet

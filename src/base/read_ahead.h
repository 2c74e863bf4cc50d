#pragma once

// What workers of the thread pool do while they wait for the next loop.

#include <cstddef>
#include <cstdint>
#include <span>

namespace martlet {

struct MemoryRange {
  const std::byte* begin = nullptr;
  int64_t bytes = 0;
};

/// Ranges that a worker remembers.
inline constexpr int64_t kReadAheadRanges = 3;
/// Of all ranges together: half of a second-level cache of 1 MiB.
inline constexpr int64_t kReadAheadBytes = 512 << 10;

/// A hint of what range `range` >= 1 of the loop after the next one begins with: once its worker has done its
/// part of the next loop, it calls these bytes into its cache until that loop begins. They are never
/// accessed, so they may be gone by then. At most kReadAheadRanges ranges and kReadAheadBytes count. Does
/// nothing inside a loop's body.
void read_ahead(int64_t range, std::span<const MemoryRange> memory);

}  // namespace martlet

#pragma once

// The one thread pool of the process. Its size comes from the cgroup's CPU quota and the affinity mask unless
// set. Workers spin briefly for the next piece of work, then sleep.

#include <cstdint>

#include "base/function_ref.h"

namespace martlet {

/// CPUs this process may really use: the smaller of the affinity mask and the cgroup quota (v2 or v1), at
/// least 1.
int available_cpus();

/// Threads that `parallel_for` uses, the caller included.
int thread_count();
/// Takes effect at the next `parallel_for` of the calling thread; values below 1 mean `available_cpus()`.
/// Must not be called while a parallel_for is running.
void set_thread_count(int count);

/// Calls `body(begin, end)` over [0, count), cut at multiples of `grain` into at most thread_count()
/// contiguous ranges of nearly equal size. The partition depends on count, grain and thread_count() only.
/// Returns when all are done. A call from inside a body runs there, sequentially. The first exception of a
/// body (lowest range) is rethrown here.
void parallel_for(int64_t count, int64_t grain, FunctionRef<void(int64_t begin, int64_t end)> body);

}  // namespace martlet

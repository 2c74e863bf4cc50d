#pragma once

// Jobs that threads walk front to back, for memory that is read so.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "base/thread_pool.h"
#include "tensor/allocator.h"

namespace martlet::ops::cpu {

/// Where share `share` of jobs [0, jobs) begins.
inline int64_t share_begin(int64_t jobs, int64_t shares, int64_t share) {
  return jobs * share / shares;
}

/// Cuts jobs [0, jobs) into a run for each of `threads`. Each thread walks its own run front to back, and
/// then helps with what others have left of theirs: memory does not serve threads equally, and in products of
/// a row one waited for the other a fifteenth of the time. Calls work(job, thread), thread in [0, threads).
/// An exception of `work` is rethrown after the others have ended; which of the other jobs were done is then
/// not known.
template <typename Work>
void walk_shares(int64_t jobs, int64_t threads, const Work& work) {
  struct alignas(64) Share {
    std::atomic<int64_t> next;
  };
  // Blocks of the allocator begin on lines; a vector of such would be asked of the system each time.
  const auto memory = allocate(Device::kCpu, threads * static_cast<int64_t>(sizeof(Share)));
  const std::span shares(reinterpret_cast<Share*>(memory.get()), static_cast<size_t>(threads));
  for (int64_t share = 0; share < threads; ++share)
    std::construct_at(&shares[static_cast<size_t>(share)], share_begin(jobs, threads, share));
  parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < end - begin + threads - 1; ++i) {
      const int64_t share = (begin + i) % threads;
      std::atomic<int64_t>& next = shares[static_cast<size_t>(share)].next;
      const int64_t last = share_begin(jobs, threads, share + 1);
      for (int64_t job = next++; job < last; job = next++) work(job, begin);
    }
  });
}

}  // namespace martlet::ops::cpu

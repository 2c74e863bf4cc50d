// The thread pool.
//
// Problem: a model's step is thousands of short loops (microseconds to milliseconds), each to be shared among
// the CPUs, with results that never depend on who ran what. Example: 2 threads, count 10, grain 4 is cut into
// [0, 4) and [4, 10) or the like, always the same; the caller runs range 0, worker 1 runs range 1.
//
// Idea: a loop is published by raising an epoch number. Range r is worker r's; it is taken by moving its
// claim from the last epoch to this one, so nobody runs it twice. A caller that has done its own range takes
// those whose worker has not come yet: a worker that the kernel put to sleep costs nothing. Workers spin a
// little for the next epoch (loops follow each other closely), then sleep on it. While they wait they call
// memory into their caches that the caller has named (read_ahead.h): what lies between two products is run by
// the caller alone, and memory need not stand still meanwhile.
//
// Invariants:
// 1. Between loops every claim equals the epoch.
// 2. Whoever took a claim of epoch e may read the loop's description until it lowers `remaining_`; the caller
// changes
//    the description only when `remaining_` is zero. A worker that comes late fails to claim and reads
//    nothing.

#include "base/thread_pool.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/read_ahead.h"
#include "base/sequential_scope.h"

namespace martlet {
namespace {

// The gap between two operations of a decode step is some microseconds; sleeping and waking costs about 50.
constexpr std::chrono::microseconds kSpin{50};
// Reading the clock costs as much as some pauses; it is read once in this many.
constexpr int kPausesPerClockRead = 32;
// Past this a request is a mistake, not a machine.
constexpr int kMaximumThreads = 4096;

// True while this thread runs a body: loops inside it run right there.
thread_local bool inside_body = false;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Spins until `done()` or the spinning time is over.
template <typename Done>
bool spin_until(Done done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

using Body = FunctionRef<void(int64_t, int64_t)>;

/// While it lives, this thread takes no signals, nor will those that it starts. A signal then goes to the
/// main thread, whose wait for a person or a file it must end.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    // But those that a thread's own mistake raises: handlers that report them must run.
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, own);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_;
};

/// [0, count) cut at multiples of the grain into nearly equal ranges.
struct Partition {
  int64_t count;
  int64_t grain;
  int64_t ranges;

  Partition(int64_t count_, int64_t grain_, int threads) : count(count_), grain(grain_) {
    units_ = count / grain + (count % grain != 0 ? 1 : 0);
    ranges = std::min<int64_t>(units_, threads);
  }

  int64_t begin(int64_t range) const {
    if (range == ranges) return count;
    // The first `units % ranges` ranges are one unit longer.
    return (units_ / ranges * range + std::min(range, units_ % ranges)) * grain;
  }

 private:
  int64_t units_;
};

void run_range(const Partition& partition, Body body, int64_t range) {
  struct Mark {
    bool before = std::exchange(inside_body, true);
    ~Mark() { inside_body = before; }
  } mark;
  body(partition.begin(range), partition.begin(range + 1));
}

/// A hint (read_ahead.h) as the caller leaves it for one worker. Its parts may be of two hints where they are
/// read while they change: then the wrong memory is called, which harms nothing.
struct Hint {
  std::atomic<uint32_t> number{0};
  std::array<std::atomic<const std::byte*>, kReadAheadRanges> begins{};
  std::array<std::atomic<int64_t>, kReadAheadRanges> bytes{};
};

/// Workers read their claims for every loop, the caller writes hints: on one line they would wait for it.
struct Claim {
  alignas(64) std::atomic<uint32_t> epoch{0};
  alignas(64) Hint hint;
};

/// A worker's way through the newest hint.
class AheadReader {
 public:
  explicit AheadReader(const Hint& hint) : hint_(hint) {}

  /// Calls what is left into the second-level cache until `done()`.
  template <typename Done>
  void run(Done done) {
    take_newest();
    for (MemoryRange& range : left_)
      while (range.bytes > 0 && !done()) {
        const int64_t called = std::min(kCallBytes, range.bytes);
        for (int64_t line = 0; line < called; line += kLineBytes)
          __builtin_prefetch(range.begin + line, 0, 2);
        range.begin += called;
        range.bytes -= called;
        pause();
      }
  }

 private:
  // Called between two looks for work. A processor drops calls that come faster than memory serves one core:
  // with the pause they come at 26 GB/s on Zen 4, and a tenth is dropped (256 bytes a pause: 10 GB/s and
  // none).
  static constexpr int64_t kCallBytes = 768;
  static constexpr int64_t kLineBytes = 64;

  void take_newest() {
    const uint32_t number = hint_.number.load(std::memory_order_acquire);
    if (number == number_) return;
    number_ = number;
    int64_t most = kReadAheadBytes;
    for (size_t i = 0; i < left_.size(); ++i) {
      left_[i] = {hint_.begins[i].load(std::memory_order_relaxed),
                  std::min(most, hint_.bytes[i].load(std::memory_order_relaxed))};
      most -= left_[i].bytes;
    }
  }

  const Hint& hint_;
  uint32_t number_ = 0;
  std::array<MemoryRange, kReadAheadRanges> left_{};
};

class Pool {
 public:
  /// Runs the loop with the help of the workers; false when another thread's loop has them.
  bool run(const Partition& partition, Body body, int threads) {
    std::unique_lock lock(callers_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    if (static_cast<size_t>(threads) != claims_.size()) resize(threads);
    publish(partition, body);
    take(0);
    const uint32_t epoch = posted_.epoch.load(std::memory_order_relaxed);
    for (int64_t range = 1; range < partition.ranges && !is_done(); ++range) {
      if (claim(range, epoch)) take(range);
    }
    wait_for_all();
    if (std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
    return true;
  }

  /// See read_ahead.h; nothing when another thread's loop has the workers.
  void read_ahead(int64_t range, std::span<const MemoryRange> memory) {
    const std::unique_lock lock(callers_, std::try_to_lock);
    if (!lock.owns_lock() || range < 1 || static_cast<size_t>(range) >= claims_.size()) return;
    Hint& hint = claims_[static_cast<size_t>(range)].hint;
    for (size_t i = 0; i < hint.begins.size(); ++i) {
      const MemoryRange next = i < memory.size() ? memory[i] : MemoryRange{};
      hint.begins[i].store(next.begin, std::memory_order_relaxed);
      hint.bytes[i].store(next.bytes, std::memory_order_relaxed);
    }
    hint.number.fetch_add(1, std::memory_order_release);
  }

 private:
  struct Loop {
    Partition partition;
    Body body;
  };

  /// What a worker needs of a new loop is on the line that it waits for.
  struct alignas(64) Posted {
    std::atomic<uint32_t> epoch{0};
    std::optional<Loop> loop;
  };
  static_assert(sizeof(Posted) == 64);

  void publish(const Partition& partition, Body body) {
    posted_.loop.emplace(Loop{partition, body});
    error_range_ = partition.ranges;
    const uint32_t next = posted_.epoch.load(std::memory_order_relaxed) + 1;
    remaining_.store(static_cast<uint32_t>(partition.ranges), std::memory_order_relaxed);
    claims_[0].epoch.store(next, std::memory_order_relaxed);
    for (size_t range = static_cast<size_t>(partition.ranges); range < claims_.size(); ++range) {
      claims_[range].epoch.store(next, std::memory_order_relaxed);
    }
    posted_.epoch.store(next, std::memory_order_release);
    posted_.epoch.notify_all();
  }

  bool claim(int64_t range, uint32_t epoch) {
    uint32_t expected = epoch - 1;
    // Looked at first: a line that is only read stays with its worker too.
    if (claims_[static_cast<size_t>(range)].epoch.load(std::memory_order_relaxed) != expected) return false;
    return claims_[static_cast<size_t>(range)].epoch.compare_exchange_strong(expected, epoch,
                                                                             std::memory_order_acq_rel);
  }

  /// Runs a claimed range. The lowest range's exception is kept.
  void take(int64_t range) {
    try {
      run_range(posted_.loop->partition, posted_.loop->body, range);
    } catch (...) {
      const std::lock_guard lock(errors_);
      if (range < error_range_) {
        error_range_ = range;
        error_ = std::current_exception();
      }
    }
    if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) remaining_.notify_one();
  }

  bool is_done() const { return remaining_.load(std::memory_order_acquire) == 0; }

  void wait_for_all() {
    if (is_done() || spin_until([&] { return is_done(); })) return;
    for (uint32_t left; (left = remaining_.load(std::memory_order_acquire)) != 0;) remaining_.wait(left);
  }

  void work(int64_t range, uint32_t seen) {
    AheadReader ahead(claims_[static_cast<size_t>(range)].hint);
    while (true) {
      const auto published = [&] { return posted_.epoch.load(std::memory_order_acquire) != seen; };
      ahead.run(published);
      if (!spin_until(published)) posted_.epoch.wait(seen, std::memory_order_acquire);
      const uint32_t now = posted_.epoch.load(std::memory_order_acquire);
      if (now == seen) continue;
      seen = now;
      if (stopping_.load(std::memory_order_acquire)) return;
      if (claim(range, now)) take(range);
    }
  }

  void resize(int threads) {
    stopping_.store(true, std::memory_order_release);
    posted_.epoch.fetch_add(1, std::memory_order_release);
    posted_.epoch.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stopping_.store(false, std::memory_order_release);
    const uint32_t now = posted_.epoch.load(std::memory_order_relaxed);
    claims_ = std::vector<Claim>(static_cast<size_t>(threads));
    for (Claim& each : claims_) each.epoch.store(now, std::memory_order_relaxed);
    const BlockedSignals inherited_by_workers;
    try {
      for (int64_t range = 1; range < threads; ++range) {
        workers_.emplace_back([this, range, now] { work(range, now); });
      }
    } catch (const std::system_error&) {
      // The system grants no more threads: the caller does the ranges that have no worker.
    }
  }

  std::mutex callers_;
  std::vector<std::thread> workers_;
  std::vector<Claim> claims_;
  std::mutex errors_;
  int64_t error_range_ = 0;
  std::exception_ptr error_;
  Posted posted_;
  alignas(64) std::atomic<uint32_t> remaining_{0};
  std::atomic<bool> stopping_{false};
};

/// Never destroyed: at exit the workers sleep, and a process that was forked has none to join.
Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

std::atomic<int> chosen_threads{0};

}  // namespace

int thread_count() {
  int count = chosen_threads.load(std::memory_order_relaxed);
  if (count == 0) {
    set_thread_count(0);
    count = chosen_threads.load(std::memory_order_relaxed);
  }
  return count;
}

void set_thread_count(int count) {
  if (count > kMaximumThreads) {
    fail(ErrorCode::kUsage, "{} threads were asked for; at most {} are served", count, kMaximumThreads);
  }
  chosen_threads.store(count < 1 ? available_cpus() : count, std::memory_order_relaxed);
}

void parallel_for(int64_t count, int64_t grain, Body body) {
  if (grain < 1) failed("parallel_for: the grain must be at least 1, got {}", grain);
  if (count <= 0) return;
  const int threads = thread_count();
  const Partition partition(count, grain, threads);
  if (partition.ranges > 1 && !inside_body && pool().run(partition, body, threads)) return;
  for (int64_t range = 0; range < partition.ranges; ++range) run_range(partition, body, range);
}

void read_ahead(int64_t range, std::span<const MemoryRange> memory) {
  if (!inside_body) pool().read_ahead(range, memory);
}

SequentialScope::SequentialScope() : before_(inside_body) {
  inside_body = true;
}
SequentialScope::~SequentialScope() {
  inside_body = before_;
}

}  // namespace martlet

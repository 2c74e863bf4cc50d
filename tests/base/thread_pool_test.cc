#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "base/expect_error.h"
#include "base/random.h"
#include "base/read_ahead.h"

namespace martlet {
namespace {

using Ranges = std::vector<std::pair<int64_t, int64_t>>;

class ThreadPool : public testing::Test {
 protected:
  void TearDown() override { set_thread_count(0); }
};

Ranges ranges_of(int64_t count, int64_t grain) {
  std::mutex lock;
  Ranges ranges;
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard guard(lock);
    ranges.emplace_back(begin, end);
  });
  std::sort(ranges.begin(), ranges.end());
  return ranges;
}

TEST_F(ThreadPool, SignalsGoToTheCallerAndNotToWorkers) {
  set_thread_count(4);
  const auto takes_interrupts = [] {
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    return sigismember(&blocked, SIGINT) == 0;
  };
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> workers{0};
  // Each range waits for all, so that no thread does two.
  std::atomic<int> arrived{0};
  parallel_for(4, 1, [&](int64_t, int64_t) {
    ++arrived;
    while (arrived < 4) std::this_thread::yield();
    EXPECT_EQ(takes_interrupts(), std::this_thread::get_id() == caller);
    workers += std::this_thread::get_id() != caller;
  });
  EXPECT_EQ(workers, 3);
  EXPECT_TRUE(takes_interrupts());
}

TEST_F(ThreadPool, RangesAreContiguousNearlyEqualAndCutAtTheGrain) {
  const Philox random(1);
  for (uint64_t draw = 0; draw < 200; ++draw) {
    const int threads = static_cast<int>(1 + random.below(4 * draw, 9));
    const int64_t count = static_cast<int64_t>(random.below(4 * draw + 1, 1000));
    const int64_t grain = static_cast<int64_t>(1 + random.below(4 * draw + 2, 40));
    set_thread_count(threads);
    const Ranges ranges = ranges_of(count, grain);
    const int64_t units = (count + grain - 1) / grain;
    ASSERT_EQ(static_cast<int64_t>(ranges.size()), std::min<int64_t>(units, threads));
    int64_t next = 0;
    int64_t least = units;
    int64_t most = 0;
    for (const auto& [begin, end] : ranges) {
      ASSERT_EQ(begin, next);
      ASSERT_GT(end, begin);
      ASSERT_TRUE(end % grain == 0 || end == count);
      least = std::min(least, (end - begin + grain - 1) / grain);
      most = std::max(most, (end - begin + grain - 1) / grain);
      next = end;
    }
    ASSERT_EQ(next, count);
    ASSERT_TRUE(count == 0 || most - least <= 1);
  }
}

TEST_F(ThreadPool, ThePartitionIsTheSameEveryTimeAndInsideABody) {
  set_thread_count(3);
  const Ranges first = ranges_of(1000, 7);
  EXPECT_EQ(first.size(), 3u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ranges_of(1000, 7), first);
  parallel_for(1, 1, [&](int64_t, int64_t) { EXPECT_EQ(ranges_of(1000, 7), first); });
}

TEST_F(ThreadPool, HugeCountsDoNotOverflow) {
  set_thread_count(3);
  const Ranges ranges = ranges_of(INT64_MAX, 2);
  ASSERT_EQ(ranges.size(), 3u);
  EXPECT_EQ(ranges.back().second, INT64_MAX);
  EXPECT_EQ(ranges_of(INT64_MAX, INT64_MAX), (Ranges{{0, INT64_MAX}}));
}

TEST_F(ThreadPool, NothingToDoCallsNothing) {
  EXPECT_TRUE(ranges_of(0, 1).empty());
  EXPECT_TRUE(ranges_of(-5, 1).empty());
  EXPECT_THAT(error_of(ErrorCode::kFailed, [] { ranges_of(5, 0); }), testing::HasSubstr("grain"));
}

TEST_F(ThreadPool, ManyShortLoopsWithChangingCountsAllFinish) {
  const Philox random(2);
  std::vector<int64_t> cells(257);
  int64_t expected = 0;
  for (uint64_t i = 0; i < 5000; ++i) {
    if (i % 50 == 0) set_thread_count(static_cast<int>(1 + random.below(2 * i, 6)));
    const int64_t count = static_cast<int64_t>(random.below(2 * i + 1, cells.size() + 1));
    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t cell = begin; cell < end; ++cell) ++cells[static_cast<size_t>(cell)];
    });
    expected += count;
  }
  EXPECT_EQ(std::accumulate(cells.begin(), cells.end(), int64_t{0}), expected);
}

TEST_F(ThreadPool, HintsOfMemoryThatIsGoneHarmNoLoop) {
  const Philox random(3);
  std::vector<int64_t> cells(64);
  set_thread_count(3);
  for (uint64_t i = 0; i < 2000; ++i) {
    MemoryRange ranges[kReadAheadRanges + 1];
    for (uint64_t j = 0; j < std::size(ranges); ++j)
      ranges[j] = {reinterpret_cast<const std::byte*>(random.below(8 * i + j, uint64_t{1} << 47)),
                   static_cast<int64_t>(random.below(8 * i + 4 + j, 4 << 20))};
    for (const int64_t range : {0, 1, 2, 3}) read_ahead(range, ranges);
    parallel_for(64, 1, [&](int64_t begin, int64_t end) {
      read_ahead(1, {});  // of no effect here
      for (int64_t cell = begin; cell < end; ++cell) ++cells[static_cast<size_t>(cell)];
    });
  }
  EXPECT_THAT(cells, testing::Each(2000));
}

TEST_F(ThreadPool, ALoopInsideABodyRunsOnThatThread) {
  set_thread_count(4);
  std::atomic<int64_t> total{0};
  parallel_for(8, 1, [&](int64_t begin, int64_t end) {
    for (int64_t outer = begin; outer < end; ++outer) {
      const std::thread::id here = std::this_thread::get_id();
      parallel_for(100, 1, [&](int64_t first, int64_t last) {
        EXPECT_EQ(std::this_thread::get_id(), here);
        total += last - first;
      });
    }
  });
  EXPECT_EQ(total, 800);
}

TEST_F(ThreadPool, LoopsOfSeveralThreadsAtOnceAllFinishWithTheSamePartition) {
  set_thread_count(3);
  const Ranges expected = ranges_of(100, 1);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) EXPECT_EQ(ranges_of(100, 1), expected);
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST_F(ThreadPool, TheExceptionOfTheLowestRangeIsThrownAndThePoolGoesOn) {
  set_thread_count(4);
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> ran{0};
    try {
      parallel_for(4, 1, [&](int64_t begin, int64_t) {
        ++ran;
        if (begin >= 1) throw std::runtime_error(std::to_string(begin));
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "1");
    }
    EXPECT_EQ(ran, 4);
    EXPECT_EQ(ranges_of(4, 1).size(), 4u);
  }
}

TEST_F(ThreadPool, AnExceptionInsideANestedLoopPassesThrough) {
  set_thread_count(2);
  EXPECT_THROW(parallel_for(2, 1,
                            [&](int64_t, int64_t) {
                              parallel_for(2, 1, [](int64_t, int64_t) { throw std::runtime_error("inner"); });
                            }),
               std::runtime_error);
  // The mark that says "inside a body" is gone again: two threads take part, or may.
  EXPECT_EQ(ranges_of(2, 1).size(), 2u);
}

TEST_F(ThreadPool, WorkIsSharedAmongThreads) {
  set_thread_count(2);
  // Each range waits for the other: only two threads can pass.
  std::atomic<int> arrived{0};
  parallel_for(2, 1, [&](int64_t, int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

TEST_F(ThreadPool, SleepingWorkersWake) {
  set_thread_count(2);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> arrived{0};
    parallel_for(2, 1, [&](int64_t, int64_t) {
      ++arrived;
      while (arrived < 2) std::this_thread::yield();
    });
  }
}

TEST_F(ThreadPool, TheCountIsWhatWasSet) {
  set_thread_count(5);
  EXPECT_EQ(thread_count(), 5);
  set_thread_count(-1);
  EXPECT_EQ(thread_count(), available_cpus());
  EXPECT_GE(available_cpus(), 1);
  error_of(ErrorCode::kUsage, [] { set_thread_count(1'000'000); });
}

}  // namespace
}  // namespace martlet

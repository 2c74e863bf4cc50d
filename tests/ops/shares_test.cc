// Jobs that threads walk front to back.
#include "ops/cpu/shares.h"

#include <gtest/gtest.h>
#include <stdexcept>
#include <vector>

namespace martlet::ops::cpu {
namespace {

class WalkShares : public ::testing::Test {
 protected:
  void TearDown() override { set_thread_count(0); }

  /// How often each job was done; every thread's number must be below `threads`.
  static std::vector<int> times_done(int64_t jobs, int64_t threads) {
    std::vector<std::atomic<int>> done(static_cast<size_t>(jobs));
    walk_shares(jobs, threads, [&](int64_t job, int64_t thread) {
      EXPECT_GE(thread, 0);
      EXPECT_LT(thread, threads);
      ++done[static_cast<size_t>(job)];
    });
    return {done.begin(), done.end()};
  }
};

TEST_F(WalkShares, DoesEveryJobOnceForAnyNumberOfJobsSharesAndThreads) {
  for (const int threads : {1, 2, 3, 5}) {
    set_thread_count(threads);
    for (const int64_t shares : {1, 2, 3, 7, 40})  // more than threads: ranges of several shares
      for (const int64_t jobs : {0, 1, 2, 6, 41, 1000})
        EXPECT_EQ(times_done(jobs, shares), std::vector<int>(static_cast<size_t>(jobs), 1))
            << jobs << " jobs, " << shares << " shares, " << threads << " threads";
  }
}

TEST_F(WalkShares, DoesEveryJobOnceInsideALoop) {
  set_thread_count(3);
  parallel_for(3, 1, [&](int64_t begin, int64_t end) {
    for (; begin < end; ++begin) EXPECT_EQ(times_done(50, 3), std::vector<int>(50, 1));
  });
}

TEST_F(WalkShares, WalksAShareFrontToBack) {
  set_thread_count(2);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<std::vector<int64_t>> of_thread(2);
    walk_shares(100, 2,
                [&](int64_t job, int64_t thread) { of_thread[static_cast<size_t>(thread)].push_back(job); });
    for (const std::vector<int64_t>& walked : of_thread)
      for (size_t i = 1; i < walked.size(); ++i)
        EXPECT_TRUE(walked[i - 1] < walked[i] || walked[i - 1] / 50 != walked[i] / 50);
  }
}

TEST_F(WalkShares, RethrowsAndWorksAgain) {
  set_thread_count(2);
  EXPECT_THROW(walk_shares(10, 2,
                           [](int64_t job, int64_t) {
                             if (job == 7) throw std::runtime_error("seven");
                           }),
               std::runtime_error);
  EXPECT_EQ(times_done(10, 2), std::vector<int>(10, 1));
}

}  // namespace
}  // namespace martlet::ops::cpu

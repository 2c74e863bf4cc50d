#pragma once

// How a product of matrices is handed out to threads.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/thread_pool.h"

namespace martlet::ops::cpu {

/// Blocks of rows of nearly equal size times panels, handed out in runs of panels that get shorter towards
/// the end: a thread that is late or slow gets fewer, and all end together.
class PanelRuns {
 public:
  struct Run {
    int64_t row, rows;
    int64_t panel, panels;
  };

  /// After so many panels the next slice of k begins: the sums so far should still be in a cache then.
  static constexpr int64_t kMostPanels = 96;

  /// A block has at most `most_rows` (a little more after rounding), and begins at a multiple of `multiple`.
  /// Runs have `least` panels or more where there are as many, and `most` at most.
  PanelRuns(int64_t rows, int64_t panels, int64_t most_rows, int64_t multiple, int64_t least,
            int64_t most = kMostPanels)
      : rows_(rows),
        panels_(panels),
        least_(least),
        most_(most),
        multiple_(multiple),
        blocks_((rows + std::max(multiple, most_rows) - 1) / std::max(multiple, most_rows)) {}

  int64_t units() const { return blocks_ * panels_; }
  int64_t most_rows() const { return (rows_ + blocks_ - 1) / blocks_ + multiple_; }
  /// The next run, or one without panels when all have been handed out.
  Run take() {
    int64_t at = next_.load(std::memory_order_relaxed);
    int64_t count;
    do {
      const int64_t share = (units() - at) / (2 * thread_count());
      count =
          std::min({std::max(least_, std::min(share, most_)), panels_ - at % panels_, units() - at});
    } while (!next_.compare_exchange_weak(at, at + count, std::memory_order_relaxed));
    const int64_t block = at / panels_;
    return {first_row(block), first_row(block + 1) - first_row(block), at % panels_, count};
  }

 private:
  int64_t first_row(int64_t block) const {
    return block >= blocks_ ? rows_ : rows_ * block / blocks_ / multiple_ * multiple_;
  }

  int64_t rows_;
  int64_t panels_;
  int64_t least_;
  int64_t most_;
  int64_t multiple_;
  int64_t blocks_;
  std::atomic<int64_t> next_{0};
};

}  // namespace martlet::ops::cpu

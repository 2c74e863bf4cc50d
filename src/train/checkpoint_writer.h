#pragma once

// Checkpoints that are written while training goes on.

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include "base/error.h"
#include "train/snapshot.h"

namespace martlet::train {

/// Writes one checkpoint at a time on a thread of its own, which uses nothing but its snapshot: no pool, no
/// model. Not to be used from several threads.
class CheckpointWriter {
 public:
  struct Result {
    int64_t step = 0;
    double seconds = 0;          ///< that it took
    std::optional<Error> error;  ///< why there is none; what was there before stays
  };

  /// Of the run in this folder; all but the newest `keep` are removed after each that is whole.
  CheckpointWriter(std::string run, int64_t keep) : run_(std::move(run)), keep_(keep) {}
  /// Waits.
  ~CheckpointWriter() { wait(); }
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  bool busy() const { return busy_.load(std::memory_order_acquire); }
  void wait();
  /// Begins to write, after waiting for the one before. Nothing else may change what the snapshot holds. The
  /// checkpoint named `best` is never removed.
  void start(Snapshot snapshot, std::string best);
  /// What came of the last one, told once; nothing while it is being written.
  std::optional<Result> take_result();

 private:
  void write();

  std::string run_;
  int64_t keep_;
  Snapshot snapshot_;  // these two and result_ are the thread's while busy_
  std::string best_;
  std::thread thread_;
  std::atomic<bool> busy_{false};
  Result result_;
  bool told_ = true;
};

}  // namespace martlet::train

#pragma once

// A run's scalars as TensorBoard reads them.

#include <chrono>
#include <string>

#include "train/run_log.h"

namespace martlet::train {

/// An event file of its own in a folder (TensorBoard takes all files of a folder as one run): TFRecord frames
/// of Event messages. On disk within a few seconds; kill -9 may cut the last frame, which readers pass over.
class EventFile {
 public:
  /// Makes the folder and a new file there. With `resumed_from`, points of that step and later ones that
  /// files of before hold are to be forgotten. Throws BadInput when it cannot be written.
  EventFile(const std::string& folder, std::optional<int64_t> resumed_from);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  const std::string& path() const { return path_; }
  /// Throws kExhausted when the disk is full.
  void write(const StepRow& row);
  void flush();

 private:
  void add(const std::string& event);

  std::string path_;
  std::string pending_;
  int descriptor_ = -1;
  std::chrono::steady_clock::time_point flushed_;
};

}  // namespace martlet::train

#pragma once

// Tensors without their arithmetic: what a computation takes, found by running it without touching elements.

#include <cstdint>

namespace martlet {

/// While it lives, tensors of this thread are made, viewed and freed as always, but nothing of them is filled
/// or copied from another tensor: memory is asked for and not touched, and values are whatever stands there.
/// Small tensors made of the host's values keep these. Scopes do not nest.
class ShapesOnly {
 public:
  ShapesOnly();
  ~ShapesOnly();
  ShapesOnly(const ShapesOnly&) = delete;
  ShapesOnly& operator=(const ShapesOnly&) = delete;

  static bool active();
  /// Bytes that would have been written by filling and copying so far.
  int64_t bytes_written() const;

 private:
  friend bool skips(int64_t bytes);
};

/// Whether this thread leaves elements alone; counts `bytes` as written when it does.
bool skips(int64_t bytes);

}  // namespace martlet

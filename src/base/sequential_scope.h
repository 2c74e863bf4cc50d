#pragma once

namespace martlet {

/// While it lives, every parallel_for (base/thread_pool.h) of this thread runs on this thread alone.
class SequentialScope {
 public:
  SequentialScope();
  ~SequentialScope();
  SequentialScope(const SequentialScope&) = delete;
  SequentialScope& operator=(const SequentialScope&) = delete;

 private:
  bool before_;
};

}  // namespace martlet

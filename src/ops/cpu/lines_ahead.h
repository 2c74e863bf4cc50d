#pragma once

// Calls for memory that is used next, some lines at a time: many at once would keep a product waiting.

#include <cstddef>
#include <cstdint>

namespace martlet::ops::cpu {

/// Rows of bytes.
struct NextRows {
  const std::byte* from = nullptr;
  int64_t row_bytes = 0;  ///< from one row to the next
  int64_t rows = 0, bytes = 0;
};

namespace {

class LinesAhead {
 public:
  /// All lines are called by the time that `call_for_some` was called `calls` times.
  LinesAhead(const NextRows& next, int64_t calls)
      : next_(next),
        row_lines_((next.bytes + kLine - 1) / kLine),
        lines_a_call_(calls == 0 ? 0 : (row_lines_ * next.rows + calls - 1) / calls) {}
  [[gnu::always_inline]] void call_for_some() {
    for (int64_t i = 0; i < lines_a_call_ && row_ < next_.rows; ++i) {
      __builtin_prefetch(next_.from + row_ * next_.row_bytes + line_ * kLine, 0, 2);
      if (++line_ < row_lines_) continue;
      line_ = 0;
      ++row_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;

  NextRows next_;
  int64_t row_lines_, lines_a_call_;
  int64_t row_ = 0, line_ = 0;
};

}  // namespace
}  // namespace martlet::ops::cpu

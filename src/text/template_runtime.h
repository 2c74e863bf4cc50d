#pragma once

// One rendering's account: it makes values, counts steps and bytes against the limits, and keeps what may lie
// in a cycle until the end.

#include <ctime>
#include <fmt/core.h>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/chat_template.h"
#include "text/template_value.h"

namespace martlet::text::jinja {

/// Deepest nesting of values: twice what JSON text may have, and what recursion over values is written for.
inline constexpr int kMaxValueDepth = 400;

class Runtime {
 public:
  Runtime(const TemplateLimits& limits, std::function<std::tm()> now)
      : limits_(limits), now_(std::move(now)) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  /// Empties what was kept. Every value of the rendering must be gone or kept by then.
  ~Runtime();

  void step(int64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) out_of_steps();
  }
  /// Work that grows with the bytes it touches.
  void handle(size_t bytes) { step(1 + static_cast<int64_t>(bytes / 64)); }

  Value text(std::string text, bool markup = false);
  Value list(std::vector<Value> items);
  Value tuple(std::vector<Value> items, bool group = false);
  /// Takes a dict just filled.
  Value dict(Ref<DictObject> dict);
  Value undefined(std::string reason);
  /// Takes any other new object, which holds values no deeper than `content_depth`.
  template <typename T>
  Value dynamic(Ref<T> object, int content_depth = 0) {
    adopt(*object, sizeof(T), content_depth);
    return Value(ValueKind::kDynamic, object);
  }
  /// Charges an object to this rendering.
  void adopt(Object& object, size_t bytes, int content_depth);

  /// Holds an object that may be part of a cycle; it is emptied at the end.
  void keep(Ref<Object> object) { kept_.push_back(std::move(object)); }

  void charge(int64_t bytes);
  void release(int64_t bytes) { bytes_ -= bytes; }
  /// Refuses a result of `count` parts of `size` bytes before it is made.
  void expect(int64_t count, int64_t size);
  /// Counts text printed (or, negative, taken back from a finished block).
  void print(int64_t bytes);

  std::tm now() const;
  int line() const { return line_; }
  void at_line(int line) { line_ = line; }

 private:
  friend class DepthGuard;
  [[noreturn]] void out_of_steps() const;
  [[noreturn]] void too_deep() const;

  const TemplateLimits& limits_;
  std::function<std::tm()> now_;
  int64_t steps_ = 0;
  int64_t bytes_ = 0;
  int64_t printed_ = 0;
  int depth_ = 0;
  int line_ = 0;
  std::vector<Ref<Object>> kept_;
};

/// Counts one level of nested evaluation while it lives.
class DepthGuard {
 public:
  explicit DepthGuard(Runtime& runtime) : runtime_(runtime) {
    if (++runtime_.depth_ > runtime_.limits_.depth) {
      --runtime_.depth_;
      runtime_.too_deep();
    }
  }
  ~DepthGuard() { --runtime_.depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Runtime& runtime_;
};

}  // namespace martlet::text::jinja

#pragma once

// The `loop` of a for loop, and the lazy condition of one.

#include "text/template_interpreter.h"

namespace martlet::text::jinja {

class LoopObject final : public DynamicObject {
 public:
  LoopObject(Value iterable, std::unique_ptr<Iterator> items, int depth)
      : iterable_(std::move(iterable)), items_(std::move(items)), level_(depth) {}

  /// Makes the loop callable: `loop(children)`.
  void make_recursive(Interpreter& interpreter, const Statement& statement, Ref<Activation> outer);
  bool next(Runtime& runtime, Value& item);

  std::string_view type_name() const override { return "LoopContext"; }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override;
  std::optional<int64_t> length(Runtime& runtime) override;
  std::unique_ptr<Iterator> iterate(Runtime& runtime) override;
  void print(Runtime& runtime, std::string& out) override;
  void empty() override;

  Value cycle(const Arguments& arguments) const;
  Value changed(Runtime& runtime, const Arguments& arguments);

 private:
  bool draw(Runtime& runtime, Value& item);
  Value peek(Runtime& runtime);

  Value iterable_;
  std::unique_ptr<Iterator> items_;
  int level_;
  bool drawing_ = false;
  int64_t index0_ = -1;
  std::optional<int64_t> length_;
  Value after_;  // Missing unless peeked
  Value current_;
  Value before_;
  Value last_changed_;
  Interpreter* interpreter_ = nullptr;
  const Statement* statement_ = nullptr;
  Ref<Activation> outer_;
};

/// The items of a loop with `if`, judged one at a time as they are drawn.
std::unique_ptr<Iterator> filter_loop(Interpreter& interpreter, const Statement& statement,
                                      Ref<Activation> outer, std::unique_ptr<Iterator> items);

}  // namespace martlet::text::jinja

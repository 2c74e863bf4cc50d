#include "text/template_loop.h"

#include "text/template_operations.h"

namespace martlet::text::jinja {
namespace {

// loop.cycle and loop.changed.
class LoopMethod final : public DynamicObject {
 public:
  LoopMethod(Ref<LoopObject> loop, bool cycle) : loop_(std::move(loop)), cycle_(cycle) {}
  std::string_view type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override {
    if (!arguments.keywords.empty()) bad_input("loop.cycle() and loop.changed() take no keyword arguments");
    return cycle_ ? loop_->cycle(arguments) : loop_->changed(runtime, arguments);
  }

 private:
  Ref<LoopObject> loop_;
  bool cycle_;
};

class ConditionIterator final : public Iterator {
 public:
  ConditionIterator(Interpreter& interpreter, const Statement& statement, Ref<Activation> outer,
                    std::unique_ptr<Iterator> items)
      : interpreter_(interpreter),
        statement_(statement),
        outer_(std::move(outer)),
        items_(std::move(items)) {}

  bool next(Runtime& runtime, Value& item) override {
    const DepthGuard guard(runtime);
    const ForPlan& loop = *statement_.loop;
    if (!own_) {
      own_ = interpreter_.activate(outer_, loop.condition_slots);
      interpreter_.enter(loop.condition_scope, *own_);
    }
    Value candidate;
    while (items_->next(runtime, candidate)) {
      interpreter_.assign(loop.condition_target, candidate, *own_);
      if (!truthy(runtime, interpreter_.evaluate(*loop.condition, *own_))) continue;
      item = passed_on(runtime, loop.condition_target);
      return true;
    }
    return false;
  }

 private:
  // jinja2 hands on the variables it unpacked, which makes a tuple of any sequence.
  Value passed_on(Runtime& runtime, const Target& target) {
    if (target.kind == Target::Kind::kName) return own_->at(target.slot);
    std::vector<Value> parts;
    for (const Target& part : target.parts) parts.push_back(passed_on(runtime, part));
    return runtime.tuple(std::move(parts));
  }

  Interpreter& interpreter_;
  const Statement& statement_;
  Ref<Activation> outer_;
  Ref<Activation> own_;
  std::unique_ptr<Iterator> items_;
};

class LoopIterator final : public Iterator {
 public:
  explicit LoopIterator(Ref<LoopObject> loop) : loop_(std::move(loop)) {}
  bool next(Runtime& runtime, Value& item) override {
    Value drawn;
    if (!loop_->next(runtime, drawn)) return false;
    item = runtime.tuple({drawn, Value(ValueKind::kDynamic, loop_)});
    return true;
  }

 private:
  Ref<LoopObject> loop_;
};

}  // namespace

void LoopObject::make_recursive(Interpreter& interpreter, const Statement& statement, Ref<Activation> outer) {
  interpreter_ = &interpreter;
  statement_ = &statement;
  outer_ = std::move(outer);
}

bool LoopObject::next(Runtime& runtime, Value& item) {
  Value drawn = std::exchange(after_, Value());
  if (drawn.is_missing() && !draw(runtime, drawn)) return false;
  ++index0_;
  before_ = std::move(current_);
  current_ = drawn;
  item = std::move(drawn);
  return true;
}

// Drawing may run the template (a condition), which may hold this very loop.
bool LoopObject::draw(Runtime& runtime, Value& item) {
  if (items_ == nullptr) return false;
  if (drawing_) bad_input("a loop's next item is asked for while it is being made");
  drawing_ = true;
  const bool drawn = items_->next(runtime, item);
  drawing_ = false;  // after an error the rendering is over
  return drawn;
}

Value LoopObject::peek(Runtime& runtime) {
  Value drawn;
  if (after_.is_missing() && draw(runtime, drawn)) after_ = std::move(drawn);
  return after_;
}

std::optional<int64_t> LoopObject::length(Runtime& runtime) {
  if (length_) return length_;
  length_ = length_of(runtime, iterable_);
  if (length_ || items_ == nullptr) return length_.value_or(0);
  // Without a length of its own the rest is drawn ahead.
  std::vector<Value> rest;
  Value item;
  while (draw(runtime, item)) {
    runtime.expect(static_cast<int64_t>(rest.size()), sizeof(Value));
    rest.push_back(std::move(item));
  }
  length_ = static_cast<int64_t>(rest.size()) + index0_ + 1 + (after_.is_missing() ? 0 : 1);
  items_ = jinja::iterate(runtime, runtime.list(std::move(rest)));
  return length_;
}

std::optional<Value> LoopObject::attribute(Runtime& runtime, std::string_view name) {
  if (name == "index") return Value::integer(index0_ + 1);
  if (name == "index0") return Value::integer(index0_);
  if (name == "first") return Value::boolean(index0_ == 0);
  if (name == "last") return Value::boolean(peek(runtime).is_missing());
  if (name == "length") return Value::integer(*length(runtime));
  if (name == "revindex") return Value::integer(*length(runtime) - index0_);
  if (name == "revindex0") return Value::integer(*length(runtime) - index0_ - 1);
  if (name == "depth") return Value::integer(level_ + 1);
  if (name == "depth0") return Value::integer(level_);
  if (name == "previtem") return index0_ == 0 ? runtime.undefined("there is no previous item") : before_;
  if (name == "nextitem") {
    const Value next_item = peek(runtime);
    return next_item.is_missing() ? runtime.undefined("there is no next item") : next_item;
  }
  if (name == "cycle" || name == "changed") {
    return runtime.dynamic(Ref<LoopMethod>(new LoopMethod(Ref<LoopObject>(this), name == "cycle")), depth());
  }
  return std::nullopt;
}

Value LoopObject::cycle(const Arguments& arguments) const {
  if (arguments.positional.empty()) bad_input("loop.cycle() wants items to cycle through");
  return arguments.positional[static_cast<size_t>(index0_) % arguments.positional.size()];
}

Value LoopObject::changed(Runtime& runtime, const Arguments& arguments) {
  const Value now = runtime.tuple(arguments.positional);
  if (!last_changed_.is_missing() && equal(runtime, last_changed_, now)) return Value::boolean(false);
  last_changed_ = now;
  return Value::boolean(true);
}

Value LoopObject::call(Runtime& runtime, Arguments& arguments) {
  const Value iterable = bind_arguments("loop", arguments, {"iterable"}, 1)[0];
  if (interpreter_ == nullptr) bad_input("a loop must be marked 'recursive' to be called");
  return runtime.text(interpreter_->run_recursively(*statement_, outer_, iterable, level_ + 1));
}

std::unique_ptr<Iterator> LoopObject::iterate(Runtime&) {
  return std::make_unique<LoopIterator>(Ref<LoopObject>(this));
}

void LoopObject::print(Runtime& runtime, std::string& out) {
  out += fmt::format("<LoopContext {}/{}>", index0_ + 1, *length(runtime));
}

void LoopObject::empty() {
  items_.reset();
  iterable_ = after_ = current_ = before_ = last_changed_ = Value();
  outer_ = Ref<Activation>();
}

std::unique_ptr<Iterator> filter_loop(Interpreter& interpreter, const Statement& statement,
                                      Ref<Activation> outer, std::unique_ptr<Iterator> items) {
  return std::make_unique<ConditionIterator>(interpreter, statement, std::move(outer), std::move(items));
}

}  // namespace martlet::text::jinja

#include "text/template_iterate.h"

#include "base/utf8.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

class EmptyIterator final : public Iterator {
 public:
  bool next(Runtime&, Value&) override { return false; }
};

class SequenceIterator final : public Iterator {
 public:
  SequenceIterator(Value sequence, bool reversed) : sequence_(std::move(sequence)), reversed_(reversed) {}

  bool next(Runtime& runtime, Value& item) override {
    const std::vector<Value>& items = sequence_.items();
    if (at_ >= items.size()) return false;
    runtime.step();
    item = items[reversed_ ? items.size() - 1 - at_ : at_];
    ++at_;
    return true;
  }

 private:
  Value sequence_;
  size_t at_ = 0;
  bool reversed_;
};

class TextIterator final : public Iterator {
 public:
  TextIterator(Value text, bool reversed) : text_(std::move(text)), reversed_(reversed) {
    at_ = reversed_ ? text_.text().size() : 0;
  }

  bool next(Runtime& runtime, Value& item) override {
    const std::string& text = text_.text();
    if (at_ == (reversed_ ? 0 : text.size())) return false;
    if (reversed_) {
      const size_t end = at_;
      do {
        --at_;
      } while (at_ > 0 && (static_cast<unsigned char>(text[at_]) & 0xC0) == 0x80);
      item = runtime.text(text.substr(at_, end - at_), text_.string().markup());
    } else {
      const auto length = static_cast<size_t>(decode_utf8(text, at_).length);
      item = runtime.text(text.substr(at_, length), text_.string().markup());
      at_ += length;
    }
    return true;
  }

 private:
  Value text_;
  size_t at_;
  bool reversed_;
};

class DictIterator final : public Iterator {
 public:
  DictIterator(Value dict, DictPart part, bool reversed)
      : dict_(std::move(dict)), part_(part), reversed_(reversed) {}

  bool next(Runtime& runtime, Value& item) override {
    const auto& entries = dict_.dict().entries();
    if (at_ >= entries.size()) return false;
    runtime.step();
    const auto& [key, value] = entries[reversed_ ? entries.size() - 1 - at_ : at_];
    ++at_;
    if (part_ == DictPart::kItems) {
      item = runtime.tuple({key, value});
    } else {
      item = part_ == DictPart::kKeys ? key : value;
    }
    return true;
  }

 private:
  Value dict_;
  size_t at_ = 0;
  DictPart part_;
  bool reversed_;
};

class GeneratorObject final : public DynamicObject {
 public:
  GeneratorObject(std::unique_ptr<Iterator> items, std::string_view type)
      : items_(std::move(items)), type_(type) {}

  bool draw(Runtime& runtime, Value& item) {
    if (running_) bad_input("a generator is asked for an item while it is making one");
    running_ = true;
    const bool drawn = items_->next(runtime, item);
    running_ = false;  // after an error the rendering is over
    return drawn;
  }

  std::string_view type_name() const override { return type_; }
  std::unique_ptr<Iterator> iterate(Runtime&) override;

 private:
  std::unique_ptr<Iterator> items_;
  std::string_view type_;
  bool running_ = false;
};

// The items of a generator that others may be drawing from too.
class SharedIterator final : public Iterator {
 public:
  explicit SharedIterator(Ref<GeneratorObject> owner) : owner_(std::move(owner)) {}
  bool next(Runtime& runtime, Value& item) override { return owner_->draw(runtime, item); }

 private:
  Ref<GeneratorObject> owner_;
};

std::unique_ptr<Iterator> GeneratorObject::iterate(Runtime&) {
  return std::make_unique<SharedIterator>(Ref<GeneratorObject>(this));
}

class RangeIterator final : public Iterator {
 public:
  RangeIterator(int64_t start, int64_t step, int64_t count) : at_(start), step_(step), left_(count) {}

  bool next(Runtime& runtime, Value& item) override {
    if (left_ == 0) return false;
    runtime.step();
    item = Value::integer(at_);
    if (--left_ > 0) at_ += step_;  // within the range: cannot overflow
    return true;
  }

 private:
  int64_t at_;
  int64_t step_;
  int64_t left_;
};

class RangeObject final : public DynamicObject {
 public:
  RangeObject(int64_t start, int64_t stop, int64_t step, int64_t count)
      : start_(start), stop_(stop), step_(step), count_(count) {}

  std::string_view type_name() const override { return "range"; }
  std::optional<int64_t> length(Runtime&) override { return count_; }
  std::unique_ptr<Iterator> iterate(Runtime&) override {
    return std::make_unique<RangeIterator>(start_, step_, count_);
  }
  std::unique_ptr<Iterator> iterate_reversed(Runtime&) override {
    return std::make_unique<RangeIterator>(count_ > 0 ? start_ + (count_ - 1) * step_ : 0, -step_, count_);
  }
  std::optional<Value> item(Runtime&, const Value& key) override {
    if (!key.is_integral()) return std::nullopt;
    const int64_t at = key.integer() < 0 ? key.integer() + count_ : key.integer();
    if (at < 0 || at >= count_) return std::nullopt;
    return Value::integer(start_ + at * step_);
  }
  std::optional<Value> attribute(Runtime&, std::string_view name) override {
    if (name == "start") return Value::integer(start_);
    if (name == "stop") return Value::integer(stop_);
    if (name == "step") return Value::integer(step_);
    return std::nullopt;
  }
  bool equals(Runtime&, DynamicObject& other) override {
    const auto* range = dynamic_cast<RangeObject*>(&other);
    if (range == nullptr || count_ != range->count_) return false;
    return count_ == 0 || (start_ == range->start_ && (count_ == 1 || step_ == range->step_));
  }
  void print(Runtime&, std::string& out) override {
    out += step_ == 1 ? fmt::format("range({}, {})", start_, stop_)
                      : fmt::format("range({}, {}, {})", start_, stop_, step_);
  }

 private:
  int64_t start_;
  int64_t stop_;
  int64_t step_;
  int64_t count_;
};

class DictView final : public DynamicObject {
 public:
  DictView(Value dict, DictPart part) : dict_(std::move(dict)), part_(part) {}

  std::string_view type_name() const override {
    return part_ == DictPart::kKeys ? "dict_keys" : part_ == DictPart::kValues ? "dict_values" : "dict_items";
  }
  std::optional<int64_t> length(Runtime& runtime) override { return length_of(runtime, dict_); }
  std::unique_ptr<Iterator> iterate(Runtime&) override {
    return std::make_unique<DictIterator>(dict_, part_, false);
  }
  std::unique_ptr<Iterator> iterate_reversed(Runtime&) override {
    return std::make_unique<DictIterator>(dict_, part_, true);
  }
  bool equals(Runtime& runtime, DynamicObject& other) override {
    const auto* view = dynamic_cast<DictView*>(&other);
    if (view == this) return true;
    if (view == nullptr || part_ == DictPart::kValues || view->part_ == DictPart::kValues) return false;
    if (length(runtime) != length_of(runtime, view->dict_)) return false;
    // Keys and items compare as sets.
    const Value theirs(ValueKind::kDynamic, Ref<Object>(&other));
    const std::unique_ptr<Iterator> mine = iterate(runtime);
    Value item;
    while (mine->next(runtime, item)) {
      if (!contains(runtime, theirs, item)) return false;
    }
    return true;
  }
  void print(Runtime& runtime, std::string& out) override {
    out += type_name();
    out += "([";
    const std::unique_ptr<Iterator> items = iterate(runtime);
    Value item;
    for (bool first = true; items->next(runtime, item); first = false) {
      if (!first) out += ", ";
      print_repr(runtime, item, out);
    }
    out += "])";
  }

 private:
  Value dict_;
  DictPart part_;
};

std::unique_ptr<Iterator> walk(Runtime& runtime, const Value& value, bool reversed) {
  switch (value.kind()) {
    case ValueKind::kUndefined:
      return std::make_unique<EmptyIterator>();
    case ValueKind::kString:
      return std::make_unique<TextIterator>(value, reversed);
    case ValueKind::kList:
    case ValueKind::kTuple:
      return std::make_unique<SequenceIterator>(value, reversed);
    case ValueKind::kDict:
      return std::make_unique<DictIterator>(value, DictPart::kKeys, reversed);
    case ValueKind::kDynamic:
      return reversed ? value.dynamic().iterate_reversed(runtime) : value.dynamic().iterate(runtime);
    default:
      return nullptr;
  }
}

}  // namespace

std::unique_ptr<Iterator> try_iterate(Runtime& runtime, const Value& value) {
  return walk(runtime, value, false);
}

std::unique_ptr<Iterator> try_iterate_reversed(Runtime& runtime, const Value& value) {
  return walk(runtime, value, true);
}

std::unique_ptr<Iterator> iterate(Runtime& runtime, const Value& value) {
  std::unique_ptr<Iterator> items = try_iterate(runtime, value);
  if (items == nullptr) bad_input("'{}' object is not iterable", type_name(value));
  return items;
}

std::vector<Value> collect(Runtime& runtime, const Value& value) {
  if (value.is_sequence()) return value.items();
  std::vector<Value> list;
  const std::unique_ptr<Iterator> items = iterate(runtime, value);
  Value item;
  while (items->next(runtime, item)) {
    if ((list.size() & 0xFFF) == 0xFFF) runtime.expect(static_cast<int64_t>(list.size()), 2 * sizeof(Value));
    list.push_back(std::move(item));
  }
  return list;
}

Value make_generator(Runtime& runtime, std::unique_ptr<Iterator> items, int content_depth,
                     std::string_view type) {
  return runtime.dynamic(Ref<GeneratorObject>(new GeneratorObject(std::move(items), type)), content_depth);
}

Value make_range(Runtime& runtime, int64_t start, int64_t stop, int64_t step) {
  // Unsigned differences: the span of two 64-bit numbers may need 65.
  uint64_t count = 0;
  if (step > 0 && start < stop) {
    count =
        (static_cast<uint64_t>(stop) - static_cast<uint64_t>(start) - 1) / static_cast<uint64_t>(step) + 1;
  } else if (step < 0 && start > stop) {
    count =
        (static_cast<uint64_t>(start) - static_cast<uint64_t>(stop) - 1) / (0 - static_cast<uint64_t>(step)) +
        1;
  }
  constexpr uint64_t kMaxRange = 100'000;  // jinja2's sandbox
  if (count > kMaxRange)
    bad_input("range() of {} items: a template may make ranges of at most {}", count, kMaxRange);
  return runtime.dynamic(Ref<RangeObject>(new RangeObject(start, stop, step, static_cast<int64_t>(count))));
}

Value make_view(Runtime& runtime, const Value& dict, DictPart part) {
  return runtime.dynamic(Ref<DictView>(new DictView(dict, part)), dict.depth());
}

}  // namespace martlet::text::jinja

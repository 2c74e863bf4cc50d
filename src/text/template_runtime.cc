#include "text/template_runtime.h"

#include <algorithm>
#include <chrono>

namespace martlet::text::jinja {

Object::~Object() {
  if (payer_ != nullptr) payer_->release(bytes_);
}

Runtime::~Runtime() {
  // Emptying before dropping: no object is destroyed while another still hangs on a chain below it.
  for (const Ref<Object>& object : kept_) object->empty();
  kept_.clear();
}

void Runtime::out_of_steps() const {
  bad_input("the template does not end: it took more than {} steps (TemplateLimits::steps)", limits_.steps);
}

void Runtime::too_deep() const {
  bad_input("the template nests more than {} levels of calls and expressions (TemplateLimits::depth)",
            limits_.depth);
}

void Runtime::charge(int64_t bytes) {
  bytes_ += bytes;
  if (bytes_ > limits_.memory_bytes) {
    bytes_ -= bytes;
    bad_input("the template's values need more than {} bytes (TemplateLimits::memory_bytes)",
              limits_.memory_bytes);
  }
}

void Runtime::expect(int64_t count, int64_t size) {
  if (count > 0 && size > 0 &&
      count > (limits_.memory_bytes - std::min(bytes_, limits_.memory_bytes)) / size) {
    bad_input("the template's values need more than {} bytes (TemplateLimits::memory_bytes)",
              limits_.memory_bytes);
  }
}

void Runtime::print(int64_t bytes) {
  printed_ += bytes;
  if (printed_ > limits_.output_bytes) {
    bad_input("the template prints more than {} bytes (TemplateLimits::output_bytes)", limits_.output_bytes);
  }
}

void Runtime::adopt(Object& object, size_t bytes, int content_depth) {
  if (content_depth >= kMaxValueDepth)
    bad_input("the template nests values more than {} deep", kMaxValueDepth);
  charge(static_cast<int64_t>(bytes));
  object.payer_ = this;
  object.bytes_ = static_cast<int64_t>(bytes);
  object.depth_ = content_depth + 1;
}

Value Runtime::text(std::string text, bool markup) {
  handle(text.size());
  Ref<StringObject> object(new StringObject(std::move(text), markup));
  adopt(*object, sizeof(StringObject) + object->text().capacity(), 0);
  return Value(ValueKind::kString, object);
}

namespace {

int deepest(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth;
}

}  // namespace

Value Runtime::list(std::vector<Value> items) {
  const int depth = deepest(items);
  handle(items.size() * sizeof(Value));
  Ref<SequenceObject> object(new SequenceObject(std::move(items)));
  adopt(*object, sizeof(SequenceObject) + object->items().capacity() * sizeof(Value), depth);
  return Value(ValueKind::kList, object);
}

Value Runtime::tuple(std::vector<Value> items, bool group) {
  const int depth = deepest(items);
  handle(items.size() * sizeof(Value));
  Ref<SequenceObject> object(new SequenceObject(std::move(items), group));
  adopt(*object, sizeof(SequenceObject) + object->items().capacity() * sizeof(Value), depth);
  return Value(ValueKind::kTuple, object);
}

Value Runtime::dict(Ref<DictObject> dict) {
  int depth = 0;
  for (const auto& [key, value] : dict->entries()) depth = std::max({depth, key.depth(), value.depth()});
  handle(dict->entries().size() * sizeof(DictObject::Entry));
  adopt(*dict, sizeof(DictObject) + dict->entries().size() * (sizeof(DictObject::Entry) + 24), depth);
  return Value(ValueKind::kDict, dict);
}

Value Runtime::undefined(std::string reason) {
  Ref<StringObject> object(new StringObject(std::move(reason), false));
  adopt(*object, sizeof(StringObject) + object->text().capacity(), 0);
  return Value(ValueKind::kUndefined, object);
}

std::tm Runtime::now() const {
  if (now_) return now_();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

}  // namespace martlet::text::jinja

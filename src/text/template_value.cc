#include "text/template_value.h"

#include <algorithm>

#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

// Up to here a scan over the keys is faster than hashing.
constexpr size_t kFewEntries = 8;
constexpr size_t kNowhere = static_cast<size_t>(-1);

}  // namespace

Value Value::real(double value) {
  Value result(ValueKind::kFloat, int64_t{0});
  result.scalar_.real = value;
  return result;
}

const StringObject& Value::string() const {
  return static_cast<const StringObject&>(*object_);
}
const std::string& Value::text() const {
  return string().text();
}
const std::vector<Value>& Value::items() const {
  return static_cast<const SequenceObject&>(*object_).items();
}
const DictObject& Value::dict() const {
  return static_cast<const DictObject&>(*object_);
}
DynamicObject& Value::dynamic() const {
  return static_cast<DynamicObject&>(*object_);
}

StringObject::StringObject(std::string text, bool markup)
    : text_(std::move(text)), length_(count_code_points(text_)), markup_(markup) {}

size_t DictObject::locate(Runtime& runtime, const Value& key, uint64_t hash) const {
  const auto same = [&](size_t at) {
    if (hashes_[at] != hash) return false;
    const Value& other = entries_[at].first;
    if (key.is_string() && other.is_string()) return key.text() == other.text();
    return equal(runtime, key, other);
  };
  if (index_.empty()) {
    for (size_t at = 0; at < entries_.size(); ++at) {
      if (same(at)) return at;
    }
    return kNowhere;
  }
  const size_t mask = index_.size() - 1;
  for (size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    if (index_[slot] == 0) return kNowhere;
    runtime.step();
    if (same(index_[slot] - 1)) return index_[slot] - 1;
  }
}

const Value* DictObject::find(Runtime& runtime, const Value& key) const {
  const size_t at = locate(runtime, key, hash_of(runtime, key));
  return at == kNowhere ? nullptr : &entries_[at].second;
}

const Value* DictObject::find(std::string_view key) const {
  if (index_.empty()) {
    for (const auto& [name, value] : entries_) {
      if (name.is_string() && name.text() == key) return &value;
    }
    return nullptr;
  }
  const size_t mask = index_.size() - 1;
  const uint64_t hash = std::hash<std::string_view>{}(key);
  for (size_t slot = hash & mask; index_[slot] != 0; slot = (slot + 1) & mask) {
    const auto& [name, value] = entries_[index_[slot] - 1];
    if (name.is_string() && name.text() == key) return &value;
  }
  return nullptr;
}

void DictObject::rebuild_index() {
  size_t slots = 4 * kFewEntries;
  while (slots < 4 * entries_.size()) slots *= 2;
  index_.assign(slots, 0);
  for (size_t at = 0; at < entries_.size(); ++at) {
    size_t slot = hashes_[at] & (slots - 1);
    while (index_[slot] != 0) slot = (slot + 1) & (slots - 1);
    index_[slot] = static_cast<uint32_t>(at + 1);
  }
}

void DictObject::insert(Runtime& runtime, const Value& key, Value value) {
  const uint64_t hash = hash_of(runtime, key);
  const size_t at = locate(runtime, key, hash);
  if (at != kNowhere) {
    entries_[at].second = std::move(value);
    return;
  }
  entries_.emplace_back(key, std::move(value));
  hashes_.push_back(hash);
  if (index_.empty() ? entries_.size() > kFewEntries : 2 * entries_.size() > index_.size()) {
    rebuild_index();
  } else if (!index_.empty()) {
    size_t slot = hash & (index_.size() - 1);
    while (index_[slot] != 0) slot = (slot + 1) & (index_.size() - 1);
    index_[slot] = static_cast<uint32_t>(entries_.size());
  }
}

void DictObject::clear() {
  entries_.clear();
  hashes_.clear();
  index_.clear();
}

Value DynamicObject::call(Runtime&, Arguments&) {
  bad_input("'{}' object is not callable", type_name());
}

void DynamicObject::print(Runtime&, std::string& out) {
  out += fmt::format("<{} object>", type_name());
}

Value Arguments::take(std::string_view name) {
  const auto at =
      std::find_if(keywords.begin(), keywords.end(), [&](const auto& pair) { return pair.first == name; });
  if (at == keywords.end()) return {};
  Value value = std::move(at->second);
  keywords.erase(at);
  return value;
}

std::vector<Value> bind_arguments(std::string_view callee, const Arguments& arguments,
                                  std::initializer_list<std::string_view> names, size_t required,
                                  bool positional_only) {
  std::vector<Value> bound(names.size());
  if (arguments.positional.size() > names.size()) {
    bad_input("{}() takes at most {} arguments, {} were given", callee, names.size(),
              arguments.positional.size());
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), bound.begin());
  if (positional_only && !arguments.keywords.empty()) bad_input("{}() takes no keyword arguments", callee);
  for (const auto& [name, value] : arguments.keywords) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) bad_input("{}() got an unexpected keyword argument '{}'", callee, name);
    Value& place = bound[static_cast<size_t>(at - names.begin())];
    if (!place.is_missing()) bad_input("{}() got multiple values for argument '{}'", callee, name);
    place = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound[i].is_missing()) bad_input("{}() is missing the argument '{}'", callee, *(names.begin() + i));
  }
  return bound;
}

}  // namespace martlet::text::jinja

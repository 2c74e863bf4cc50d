#pragma once

// The values a template computes with: Python's, as far as a chat template can see them. A value is two
// words; text, lists, tuples and dicts are immutable and shared by counting (atomically: constants of one
// program are shared by every thread that renders it). What changes while a template runs (namespaces, loops,
// closures) are dynamic objects, which the rendering keeps and empties at its end, so that no cycle outlives
// it.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace martlet::text::jinja {

class Runtime;
struct Arguments;

/// The counted part of a value. Its size is paid for by one rendering, or by nobody when it belongs to the
/// program.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object();

  /// Nesting: one more than the deepest value inside. Bounded, so that recursion over values is.
  int depth() const { return depth_; }
  /// Drops what it refers to: called on kept objects at the end of a rendering.
  virtual void empty() {}

 private:
  friend class Runtime;
  template <typename T>
  friend class Ref;

  std::atomic<int32_t> references_{0};
  int depth_ = 1;
  int64_t bytes_ = 0;
  Runtime* payer_ = nullptr;
};

/// A counted pointer to an object.
template <typename T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) { retain(); }
  Ref(const Ref& other) : object_(other.object_) { retain(); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <typename U>
    requires std::is_convertible_v<U*, T*>
  Ref(const Ref<U>& other) : Ref(other.get()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr && object_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete object_;
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  bool alone() const {
    return object_ != nullptr && object_->references_.load(std::memory_order_acquire) == 1;
  }

 private:
  void retain() {
    if (object_ != nullptr) object_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  T* object_ = nullptr;
};

enum class ValueKind : uint8_t {
  kMissing,    ///< no value at all: an unset slot, an argument not given
  kUndefined,  ///< jinja2's Undefined; its text says why, for errors
  kNone,
  kBoolean,
  kInteger,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kDynamic
};

class StringObject;
class SequenceObject;
class DictObject;
class DynamicObject;

class Value {
 public:
  Value() = default;
  static Value none() { return Value(ValueKind::kNone, int64_t{0}); }
  static Value boolean(bool value) { return Value(ValueKind::kBoolean, int64_t{value}); }
  static Value integer(int64_t value) { return Value(ValueKind::kInteger, value); }
  static Value real(double value);
  /// Undefined for a reason that nobody needs to be told.
  static Value undefined() { return Value(ValueKind::kUndefined, int64_t{0}); }
  Value(ValueKind kind, Ref<Object> object) : kind_(kind), object_(std::move(object)) {}

  ValueKind kind() const { return kind_; }
  bool is_missing() const { return kind_ == ValueKind::kMissing; }
  bool is_undefined() const { return kind_ == ValueKind::kUndefined; }
  bool is_none() const { return kind_ == ValueKind::kNone; }
  bool is_string() const { return kind_ == ValueKind::kString; }
  bool is_list() const { return kind_ == ValueKind::kList; }
  bool is_tuple() const { return kind_ == ValueKind::kTuple; }
  bool is_sequence() const { return is_list() || is_tuple(); }
  bool is_dict() const { return kind_ == ValueKind::kDict; }
  bool is_dynamic() const { return kind_ == ValueKind::kDynamic; }
  bool is_boolean() const { return kind_ == ValueKind::kBoolean; }
  bool is_float() const { return kind_ == ValueKind::kFloat; }
  /// Python's int, which a bool is too.
  bool is_integral() const { return kind_ == ValueKind::kInteger || is_boolean(); }
  bool is_number() const { return is_integral() || is_float(); }

  // Each is valid for its kinds only.
  int64_t integer() const { return scalar_.integer; }
  bool boolean() const { return scalar_.integer != 0; }
  double real() const { return is_float() ? scalar_.real : static_cast<double>(scalar_.integer); }
  const StringObject& string() const;
  const std::string& text() const;
  const std::vector<Value>& items() const;
  const DictObject& dict() const;
  DynamicObject& dynamic() const;
  template <typename T>
  T* as() const;

  /// Nesting of the value: 0 for scalars.
  int depth() const { return object_ ? object_->depth() : 0; }
  Object* object() const { return object_.get(); }

 private:
  Value(ValueKind kind, int64_t value) : kind_(kind) { scalar_.integer = value; }

  ValueKind kind_ = ValueKind::kMissing;
  union {
    int64_t integer = 0;
    double real;
  } scalar_;
  Ref<Object> object_;
};

/// Text in valid UTF-8. `markup`: made by `escape` or `safe`, which joins with other text by escaping that.
class StringObject final : public Object {
 public:
  StringObject(std::string text, bool markup);
  const std::string& text() const { return text_; }
  bool markup() const { return markup_; }
  /// Code points: what Python counts.
  int64_t length() const { return length_; }
  bool ascii() const { return length_ == static_cast<int64_t>(text_.size()); }

 private:
  std::string text_;
  int64_t length_;
  bool markup_;
};

/// A list or a tuple. `group`: a tuple of `groupby`, whose parts are also called `grouper` and `list`.
class SequenceObject final : public Object {
 public:
  explicit SequenceObject(std::vector<Value> items, bool group = false)
      : items_(std::move(items)), group_(group) {}
  const std::vector<Value>& items() const { return items_; }
  bool group() const { return group_; }

 private:
  std::vector<Value> items_;
  bool group_;
};

/// Keys to values in the order of first insertion. Keys that are equal in Python (1, 1.0, True) are one key.
class DictObject final : public Object {
 public:
  using Entry = std::pair<Value, Value>;

  const std::vector<Entry>& entries() const { return entries_; }
  const Value* find(Runtime& runtime, const Value& key) const;
  const Value* find(std::string_view key) const;
  /// Only while it is being made. Throws for a key that cannot be hashed.
  void insert(Runtime& runtime, const Value& key, Value value);
  void clear();

 private:
  size_t locate(Runtime& runtime, const Value& key, uint64_t hash) const;
  void rebuild_index();

  std::vector<Entry> entries_;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> index_;  // open addressing, entry number + 1; empty while there are few entries
};

/// Gives items one at a time (template_iterate.h).
class Iterator {
 public:
  virtual ~Iterator() = default;
  /// False at the end; then and after it, `item` is as it was.
  virtual bool next(Runtime& runtime, Value& item) = 0;
};

/// Anything that is not plain data: ranges, views, generators, namespaces, macros, functions, loops.
class DynamicObject : public Object {
 public:
  virtual std::string_view type_name() const = 0;
  /// The attribute, or nothing. One whose name has a leading underscore is only asked whether it is there.
  virtual std::optional<Value> attribute(Runtime&, std::string_view) { return std::nullopt; }
  /// The item, or nothing when there is none or the object has no items.
  virtual std::optional<Value> item(Runtime&, const Value&) { return std::nullopt; }
  virtual bool callable() const { return false; }
  virtual Value call(Runtime& runtime, Arguments& arguments);
  /// Null when it cannot be iterated.
  virtual std::unique_ptr<Iterator> iterate(Runtime&) { return nullptr; }
  /// Null when it cannot be walked backwards.
  virtual std::unique_ptr<Iterator> iterate_reversed(Runtime&) { return nullptr; }
  virtual std::optional<int64_t> length(Runtime&) { return std::nullopt; }
  virtual bool truth(Runtime& runtime) { return length(runtime).value_or(1) != 0; }
  virtual bool equals(Runtime&, DynamicObject& other) { return this == &other; }
  virtual void print(Runtime& runtime, std::string& out);
};

template <typename T>
T* Value::as() const {
  return is_dynamic() ? dynamic_cast<T*>(object()) : nullptr;
}

/// Positional and keyword arguments of one call, in the order given.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;

  /// Takes the keyword out; Missing when it was not given.
  Value take(std::string_view name);
};

/// A value for every name of a signature: the argument given, or Missing. The first `required` must be given.
/// With `positional_only`, keywords are refused. Throws as Python's TypeError would, naming `callee`.
std::vector<Value> bind_arguments(std::string_view callee, const Arguments& arguments,
                                  std::initializer_list<std::string_view> names, size_t required,
                                  bool positional_only = false);

}  // namespace martlet::text::jinja

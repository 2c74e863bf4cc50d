// Filters that take values apart and put them together: lists, dicts, parts and joins.

#include <algorithm>
#include <array>

#include "text/template_arguments.h"
#include "text/template_attribute.h"
#include "text/template_filter_groups.h"
#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

Value fallback(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("default", arguments, {"default_value", "boolean"}, 0);
  const bool falsy = flag_argument(runtime, bound[1], false) && !truthy(runtime, subject);
  if (!subject.is_undefined() && !falsy) return subject;
  return bound[0].is_missing() ? runtime.text({}) : bound[0];
}

Value length(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("length", arguments, {}, 0);
  const std::optional<int64_t> count = length_of(runtime, subject);
  if (!count) bad_input("an object of type '{}' has no length", type_name(subject));
  return Value::integer(*count);
}

Value list(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("list", arguments, {}, 0);
  return runtime.list(collect(runtime, subject));
}

Value first(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("first", arguments, {}, 0);
  Value item;
  return iterate(runtime, subject)->next(runtime, item)
             ? item
             : runtime.undefined("no first item: the sequence is empty");
}

Value last(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("last", arguments, {}, 0);
  const std::unique_ptr<Iterator> items = try_iterate_reversed(runtime, subject);
  if (items == nullptr) bad_input("'{}' object is not reversible", type_name(subject));
  Value item;
  return items->next(runtime, item) ? item : runtime.undefined("no last item: the sequence is empty");
}

Value reverse(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("reverse", arguments, {}, 0);
  if (subject.is_string()) return get_slice(runtime, subject, {}, {}, Value::integer(-1));
  if (std::unique_ptr<Iterator> items = try_iterate_reversed(runtime, subject)) {
    return make_generator(runtime, std::move(items), subject.depth(), "reversed");
  }
  std::vector<Value> items = collect(runtime, subject);
  std::reverse(items.begin(), items.end());
  return runtime.list(std::move(items));
}

Value items(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("items", arguments, {}, 0);
  if (!subject.is_undefined() && !subject.is_dict()) {
    bad_input("items: can only get item pairs from a mapping, not {}", type_name(subject));
  }
  std::unique_ptr<Iterator> pairs =
      iterate(runtime, subject.is_dict() ? make_view(runtime, subject, DictPart::kItems) : subject);
  return make_generator(runtime, std::move(pairs), subject.depth());
}

Value join(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("join", arguments, {"d", "attribute"}, 0);
  const std::string separator = bound[0].is_missing() ? std::string() : text_of(runtime, bound[0]);
  const AttributePath path(runtime, bound[1]);
  const std::unique_ptr<Iterator> walk = iterate(runtime, subject);
  std::string out;
  Value item;
  for (bool begin = true; walk->next(runtime, item); begin = false) {
    if (!begin) out += separator;
    print_text(runtime, path.get(runtime, item), out);
    runtime.handle(separator.size());
    runtime.expect(1, static_cast<int64_t>(out.size()));
  }
  return runtime.text(std::move(out));
}

Value attr(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const Value name = bind_arguments("attr", arguments, {"name"}, 1)[0];
  return get_attribute_only(runtime, subject, text_argument(name, "attr"));
}

Value sum(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("sum", arguments, {"attribute", "start"}, 0);
  const AttributePath path(runtime, bound[0]);
  Value total = bound[1].is_missing() ? Value::integer(0) : bound[1];
  if (total.is_string()) bad_input("sum: cannot sum text; use join");
  const std::unique_ptr<Iterator> walk = iterate(runtime, subject);
  Value item;
  while (walk->next(runtime, item))
    total = arithmetic(runtime, Operator::kAdd, total, path.get(runtime, item));
  return total;
}

// Lists of `size` items, drawn as they are asked for.
class BatchIterator final : public Iterator {
 public:
  BatchIterator(Value subject, int64_t size, Value fill)
      : subject_(std::move(subject)), size_(size), fill_(std::move(fill)) {}

  bool next(Runtime& runtime, Value& item) override {
    if (items_ == nullptr) {
      items_ = iterate(runtime, subject_);
      has_ahead_ = items_->next(runtime, ahead_);
    }
    if (!has_ahead_) return false;
    std::vector<Value> batch;
    // The first item goes in before the size is looked at, so sizes below 1 never cut (0 cuts before every
    // item).
    do {
      runtime.expect(static_cast<int64_t>(batch.size()), sizeof(Value));
      batch.push_back(std::exchange(ahead_, Value()));
      has_ahead_ = items_->next(runtime, ahead_);
    } while (has_ahead_ && static_cast<int64_t>(batch.size()) != size_);
    if (!has_ahead_ && !absent_argument(fill_)) {
      const int64_t missing = size_ - static_cast<int64_t>(batch.size());
      runtime.expect(missing, sizeof(Value));
      for (int64_t i = 0; i < missing; ++i) batch.push_back(fill_);
    }
    item = runtime.list(std::move(batch));
    return true;
  }

 private:
  Value subject_;
  int64_t size_;
  Value fill_;
  std::unique_ptr<Iterator> items_;
  Value ahead_;
  bool has_ahead_ = false;
};

Value batch(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("batch", arguments, {"linecount", "fill_with"}, 1);
  const int depth = std::max(subject.depth(), bound[1].depth());
  auto batches = std::make_unique<BatchIterator>(subject, integer_argument(bound[0], "batch"), bound[1]);
  return make_generator(runtime, std::move(batches), depth);
}

// The items in `count` lists of lengths that differ by one at most.
class SliceIterator final : public Iterator {
 public:
  SliceIterator(Value subject, int64_t count, Value fill)
      : subject_(std::move(subject)), count_(count), fill_(std::move(fill)) {}

  bool next(Runtime& runtime, Value& item) override {
    if (at_ == 0 && !started_) {
      started_ = true;
      items_ = runtime.list(collect(runtime, subject_));
      if (count_ == 0) bad_input("slice: the number of slices must not be 0");
    }
    if (at_ >= count_) return false;
    const auto length = static_cast<int64_t>(items_.items().size());
    const int64_t each = length / count_;
    const int64_t longer = length % count_;
    const int64_t begin = at_ * each + std::min(at_, longer);
    const int64_t end = begin + each + (at_ < longer ? 1 : 0);
    std::vector<Value> part(items_.items().begin() + begin, items_.items().begin() + end);
    if (!absent_argument(fill_) && at_ >= longer) part.push_back(fill_);
    ++at_;
    item = runtime.list(std::move(part));
    return true;
  }

 private:
  Value subject_;
  int64_t count_;
  Value fill_;
  Value items_;
  int64_t at_ = 0;
  bool started_ = false;
};

Value slice(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("slice", arguments, {"slices", "fill_with"}, 1);
  const int depth = std::max(subject.depth(), bound[1].depth()) + 1;
  auto slices = std::make_unique<SliceIterator>(subject, integer_argument(bound[0], "slice"), bound[1]);
  return make_generator(runtime, std::move(slices), depth);
}

constexpr std::array kFilters = std::to_array<NamedFunction>({
    {"attr", attr},
    {"batch", batch},
    {"count", length},
    {"d", fallback},
    {"default", fallback},
    {"first", first},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", list},
    {"reverse", reverse},
    {"slice", slice},
    {"sum", sum},
});

}  // namespace

std::span<const NamedFunction> sequence_filters() {
  return kFilters;
}

AttributePath::AttributePath(Runtime& runtime, const Value& attribute) {
  if (absent_argument(attribute)) return;
  if (!attribute.is_string()) {
    parts_.push_back(attribute);
    return;
  }
  const std::string& path = attribute.text();
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    const bool number =
        !part.empty() && part.size() < 19 && part.find_first_not_of("0123456789") == std::string::npos;
    parts_.push_back(number ? Value::integer(std::stoll(part)) : runtime.text(part));
    begin = end + 1;
  }
}

Value AttributePath::get(Runtime& runtime, const Value& item, const Value& if_undefined) const {
  Value value = item;
  for (const Value& part : parts_) {
    value = get_item(runtime, value, part);
    if (value.is_undefined() && !absent_argument(if_undefined)) value = if_undefined;
  }
  return value;
}

Value sort_key(Runtime& runtime, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_string()) return value;
  return runtime.text(lower_case(value.text()));
}

}  // namespace martlet::text::jinja

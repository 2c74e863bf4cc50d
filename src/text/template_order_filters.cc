// Filters that compare: sort, groups, extremes.

#include <algorithm>
#include <array>

#include "text/template_arguments.h"
#include "text/template_filter_groups.h"
#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"

namespace martlet::text::jinja {
namespace {

Value picked(Runtime& runtime, const std::vector<Value>& items, const std::vector<size_t>& order) {
  std::vector<Value> out;
  out.reserve(order.size());
  for (const size_t at : order) out.push_back(items[at]);
  return runtime.list(std::move(out));
}

// Paths parted by commas: "age,name".
std::vector<AttributePath> paths_of(Runtime& runtime, const Value& attribute) {
  std::vector<AttributePath> paths;
  if (!attribute.is_string()) {
    paths.emplace_back(runtime, attribute);
    return paths;
  }
  const std::string& text = attribute.text();
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    paths.emplace_back(runtime, runtime.text(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return paths;
}

Value sort(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound =
      bind_arguments("sort", arguments, {"reverse", "case_sensitive", "attribute"}, 0);
  const bool case_sensitive = flag_argument(runtime, bound[1], false);
  const std::vector<AttributePath> paths = paths_of(runtime, bound[2]);
  const std::vector<Value> items = collect(runtime, subject);
  std::vector<Value> keys;
  keys.reserve(items.size());
  for (const Value& item : items) {
    std::vector<Value> parts;
    for (const AttributePath& path : paths)
      parts.push_back(sort_key(runtime, path.get(runtime, item), case_sensitive));
    keys.push_back(runtime.list(std::move(parts)));
  }
  return picked(runtime, items, sorted_order(runtime, keys, flag_argument(runtime, bound[0], false)));
}

Value dictsort(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound =
      bind_arguments("dictsort", arguments, {"case_sensitive", "by", "reverse"}, 0);
  const std::string by = bound[1].is_missing() ? "key" : text_argument(bound[1], "dictsort");
  if (by != "key" && by != "value") bad_input("dictsort: can sort by 'key' or 'value', not '{}'", by);
  if (subject.is_undefined()) use_of_undefined(subject);
  if (!subject.is_dict()) bad_input("dictsort: wants a dict, not {}", type_name(subject));
  const bool case_sensitive = flag_argument(runtime, bound[0], false);
  std::vector<Value> items;
  std::vector<Value> keys;
  for (const auto& [key, value] : subject.dict().entries()) {
    items.push_back(runtime.tuple({key, value}));
    keys.push_back(sort_key(runtime, by == "key" ? key : value, case_sensitive));
  }
  return picked(runtime, items, sorted_order(runtime, keys, flag_argument(runtime, bound[2], false)));
}

Value groupby(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound =
      bind_arguments("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const AttributePath path(runtime, bound[0]);
  const bool case_sensitive = flag_argument(runtime, bound[2], false);
  const std::vector<Value> items = collect(runtime, subject);
  std::vector<Value> keys;
  for (const Value& item : items)
    keys.push_back(sort_key(runtime, path.get(runtime, item, bound[1]), case_sensitive));
  const std::vector<size_t> order = sorted_order(runtime, keys, false);
  std::vector<Value> groups;
  for (size_t begin = 0; begin < order.size();) {
    std::vector<Value> group;
    size_t end = begin;
    for (; end < order.size() && equal(runtime, keys[order[begin]], keys[order[end]]); ++end)
      group.push_back(items[order[end]]);
    // The key as the first of the group has it, not in lower case.
    Value key = path.get(runtime, group.front(), bound[1]);
    groups.push_back(runtime.tuple({std::move(key), runtime.list(std::move(group))}, true));
    begin = std::max(end, begin + 1);
  }
  return runtime.list(std::move(groups));
}

template <Operator better>
Value extreme(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("min", arguments, {"case_sensitive", "attribute"}, 0);
  const bool case_sensitive = flag_argument(runtime, bound[0], false);
  const AttributePath path(runtime, bound[1]);
  const std::unique_ptr<Iterator> items = iterate(runtime, subject);
  Value best;
  if (!items->next(runtime, best)) return runtime.undefined("no aggregated item: the sequence is empty");
  Value best_key = sort_key(runtime, path.get(runtime, best), case_sensitive);
  Value item;
  while (items->next(runtime, item)) {
    Value key = sort_key(runtime, path.get(runtime, item), case_sensitive);
    if (!ordered(runtime, better, key, best_key)) continue;
    best = item;
    best_key = std::move(key);
  }
  return best;
}

class UniqueIterator final : public Iterator {
 public:
  UniqueIterator(Value subject, AttributePath path, bool case_sensitive)
      : subject_(std::move(subject)),
        path_(std::move(path)),
        case_sensitive_(case_sensitive),
        seen_(new DictObject) {}

  bool next(Runtime& runtime, Value& item) override {
    if (items_ == nullptr) items_ = iterate(runtime, subject_);
    Value candidate;
    while (items_->next(runtime, candidate)) {
      const size_t before = seen_->entries().size();
      runtime.expect(static_cast<int64_t>(before), 2 * sizeof(DictObject::Entry));
      seen_->insert(runtime, sort_key(runtime, path_.get(runtime, candidate), case_sensitive_),
                    Value::none());
      if (seen_->entries().size() == before) continue;
      item = std::move(candidate);
      return true;
    }
    return false;
  }

 private:
  Value subject_;
  AttributePath path_;
  bool case_sensitive_;
  std::unique_ptr<Iterator> items_;
  Ref<DictObject> seen_;
};

Value unique(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("unique", arguments, {"case_sensitive", "attribute"}, 0);
  AttributePath path(runtime, bound[1]);
  auto items =
      std::make_unique<UniqueIterator>(subject, std::move(path), flag_argument(runtime, bound[0], false));
  return make_generator(runtime, std::move(items), subject.depth());
}

constexpr std::array kFilters = std::to_array<NamedFunction>({{"dictsort", dictsort},
                                                              {"groupby", groupby},
                                                              {"max", extreme<Operator::kGreater>},
                                                              {"min", extreme<Operator::kLess>},
                                                              {"sort", sort},
                                                              {"unique", unique}});

}  // namespace

std::span<const NamedFunction> order_filters() {
  return kFilters;
}

}  // namespace martlet::text::jinja

// Filters that apply another filter or a test to every item: map, select, reject and their attribute forms.
// All lazy.

#include <algorithm>
#include <array>

#include "text/template_arguments.h"
#include "text/template_filter_groups.h"
#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"

namespace martlet::text::jinja {
namespace {

int deepest(const Value& subject, const Arguments& arguments) {
  int depth = subject.depth();
  for (const Value& value : arguments.positional) depth = std::max(depth, value.depth());
  for (const auto& [name, value] : arguments.keywords) depth = std::max(depth, value.depth());
  return depth;
}

// Begins at the first item asked for, as a Python generator does: errors in the arguments show only then.
class LazyIterator : public Iterator {
 public:
  LazyIterator(Value subject, Arguments arguments)
      : arguments_(std::move(arguments)), subject_(std::move(subject)) {}

  bool next(Runtime& runtime, Value& item) override {
    if (!begun_) {
      begun_ = true;
      if (truthy(runtime, subject_)) {
        begin(runtime);
        items_ = iterate(runtime, subject_);
      }
    }
    return items_ != nullptr && advance(runtime, *items_, item);
  }

 protected:
  virtual void begin(Runtime& runtime) = 0;
  virtual bool advance(Runtime& runtime, Iterator& items, Value& item) = 0;

  std::string take_name(std::string_view what) {
    const Value name = arguments_.positional.front();
    arguments_.positional.erase(arguments_.positional.begin());
    if (!name.is_string()) bad_input("the name of a {} must be text, not {}", what, type_name(name));
    return name.text();
  }

  Arguments arguments_;

 private:
  Value subject_;
  std::unique_ptr<Iterator> items_;
  bool begun_ = false;
};

class MapIterator final : public LazyIterator {
 public:
  using LazyIterator::LazyIterator;

 private:
  void begin(Runtime& runtime) override {
    if (!arguments_.positional.empty()) {
      filter_ = take_name("filter");
      return;
    }
    const Value attribute = arguments_.take("attribute");
    if (attribute.is_missing()) bad_input("map: wants a filter's name or an attribute");
    default_ = arguments_.take("default");
    if (!arguments_.keywords.empty())
      bad_input("map: unexpected keyword argument '{}'", arguments_.keywords[0].first);
    path_.emplace(runtime, attribute);
  }

  bool advance(Runtime& runtime, Iterator& items, Value& item) override {
    Value candidate;
    if (!items.next(runtime, candidate)) return false;
    if (path_) {
      item = path_->get(runtime, candidate, default_);
    } else {
      Arguments arguments = arguments_;  // a filter may take its arguments apart
      item = apply_filter(runtime, filter_, candidate, arguments);
    }
    return true;
  }

  std::optional<AttributePath> path_;
  Value default_;
  std::string filter_;
};

class SelectIterator final : public LazyIterator {
 public:
  SelectIterator(Value subject, Arguments arguments, bool wanted, bool by_attribute)
      : LazyIterator(std::move(subject), std::move(arguments)),
        wanted_(wanted),
        by_attribute_(by_attribute) {}

 private:
  void begin(Runtime& runtime) override {
    if (by_attribute_) {
      if (arguments_.positional.empty()) bad_input("selectattr and rejectattr want an attribute's name");
      path_.emplace(runtime, arguments_.positional.front());
      arguments_.positional.erase(arguments_.positional.begin());
    }
    if (!arguments_.positional.empty()) test_ = take_name("test");
  }

  bool advance(Runtime& runtime, Iterator& items, Value& item) override {
    Value candidate;
    while (items.next(runtime, candidate)) {
      const Value judged = path_ ? path_->get(runtime, candidate) : candidate;
      if (holds(runtime, judged) != wanted_) continue;
      item = std::move(candidate);
      return true;
    }
    return false;
  }

  bool holds(Runtime& runtime, const Value& value) const {
    if (!test_) return truthy(runtime, value);
    Arguments arguments = arguments_;
    return apply_test(runtime, *test_, value, arguments);
  }

  bool wanted_;
  bool by_attribute_;
  std::optional<AttributePath> path_;
  std::optional<std::string> test_;
};

Value map(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const int depth = deepest(subject, arguments);
  return make_generator(runtime, std::make_unique<MapIterator>(subject, std::move(arguments)), depth);
}

template <bool wanted, bool by_attribute>
Value select(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const int depth = deepest(subject, arguments);
  auto items = std::make_unique<SelectIterator>(subject, std::move(arguments), wanted, by_attribute);
  return make_generator(runtime, std::move(items), depth);
}

constexpr std::array kFilters = std::to_array<NamedFunction>({{"map", map},
                                                              {"reject", select<false, false>},
                                                              {"rejectattr", select<false, true>},
                                                              {"select", select<true, false>},
                                                              {"selectattr", select<true, true>}});

}  // namespace

std::span<const NamedFunction> apply_filters() {
  return kFilters;
}

}  // namespace martlet::text::jinja

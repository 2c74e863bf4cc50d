#pragma once

// Walking values one item at a time. Generators are lazy and give each item once, as in Python: what a
// template sees depends on it (a filtered list printed twice is empty the second time).

#include <memory>
#include <string_view>
#include <vector>

#include "text/template_value.h"

namespace martlet::text::jinja {

/// Null when the value cannot be iterated.
std::unique_ptr<Iterator> try_iterate(Runtime& runtime, const Value& value);
/// Throws "'int' object is not iterable".
std::unique_ptr<Iterator> iterate(Runtime& runtime, const Value& value);
/// Python's reversed(); null when the value has no such walk.
std::unique_ptr<Iterator> try_iterate_reversed(Runtime& runtime, const Value& value);
/// list(value).
std::vector<Value> collect(Runtime& runtime, const Value& value);

/// A value that gives the items of `items`, once. `content_depth`: the nesting of what the iterator holds.
Value make_generator(Runtime& runtime, std::unique_ptr<Iterator> items, int content_depth,
                     std::string_view type = "generator");

/// range(start, stop, step), of which the walk, the length and the items are computed.
Value make_range(Runtime& runtime, int64_t start, int64_t stop, int64_t step);

enum class DictPart { kKeys, kValues, kItems };
Value make_view(Runtime& runtime, const Value& dict, DictPart part);

}  // namespace martlet::text::jinja

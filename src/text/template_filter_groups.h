#pragma once

// The groups that the catalogue of filters is made of, and what they share.

#include <span>
#include <string>
#include <vector>

#include "text/template_filters.h"

namespace martlet::text::jinja {

std::span<const NamedFunction> text_filters();
std::span<const NamedFunction> markup_filters();
std::span<const NamedFunction> number_filters();
std::span<const NamedFunction> sequence_filters();
std::span<const NamedFunction> order_filters();
std::span<const NamedFunction> apply_filters();

/// The path of an `attribute` argument: "a.b.0", a number, or nothing.
class AttributePath {
 public:
  AttributePath(Runtime& runtime, const Value& attribute);
  /// The item itself without a path. `fallback`, unless Missing or None, stands for what is undefined.
  Value get(Runtime& runtime, const Value& item, const Value& fallback = {}) const;

 private:
  std::vector<Value> parts_;
};

/// Text in lower case unless `case_sensitive`; other values as they are: what jinja2 sorts and compares by.
Value sort_key(Runtime& runtime, const Value& value, bool case_sensitive);
/// The value as text, markup kept: markupsafe's soft_str.
Value soft_text(Runtime& runtime, const Value& value);

}  // namespace martlet::text::jinja

// The methods of text, by name. Each keeps the markup of its receiver, as markupsafe's do.

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "text/template_arguments.h"
#include "text/template_attribute.h"
#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_text.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

Value keep(Runtime& runtime, const Value& self, std::string text) {
  return runtime.text(std::move(text), self.string().markup());
}

Value keep(Runtime& runtime, const Value& self, std::string_view text) {
  return keep(runtime, self, std::string(text));
}

Value keep_all(Runtime& runtime, const Value& self, const std::vector<std::string_view>& parts) {
  runtime.expect(static_cast<int64_t>(parts.size()), sizeof(Value) + sizeof(StringObject));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(keep(runtime, self, part));
  return runtime.list(std::move(items));
}

void no_arguments(std::string_view callee, const Arguments& arguments) {
  bind_arguments(callee, arguments, {}, 0);
}

template <std::string (*map)(std::string_view)>
Value mapped(Runtime& runtime, const Value& self, const Arguments& arguments) {
  no_arguments("str method", arguments);
  return keep(runtime, self, map(self.text()));
}

// True when there is a character and the predicate holds of each.
template <bool (*predicate)(char32_t)>
Value all_are(Runtime& runtime, const Value& self, const Arguments& arguments) {
  no_arguments("str method", arguments);
  runtime.handle(self.text().size());
  const std::u32string points = code_points(self.text());
  return Value::boolean(!points.empty() && std::all_of(points.begin(), points.end(), predicate));
}

bool is_alphanumeric(char32_t c) {
  return is_alpha(c) || is_numeric(c) || is_digit(c);
}

Value is_ascii(Runtime&, const Value& self, const Arguments& arguments) {
  no_arguments("isascii", arguments);
  return Value::boolean(self.string().ascii());
}

Value is_all_printable(Runtime&, const Value& self, const Arguments& arguments) {
  no_arguments("isprintable", arguments);
  const std::u32string points = code_points(self.text());
  return Value::boolean(std::all_of(points.begin(), points.end(), is_printable));
}

Value is_identifier(Runtime&, const Value& self, const Arguments& arguments) {
  no_arguments("isidentifier", arguments);
  const std::u32string points = code_points(self.text());
  return Value::boolean(!points.empty() && is_identifier_start(points[0]) &&
                        std::all_of(points.begin(), points.end(), is_identifier_part));
}

Value is_all_lower(Runtime&, const Value& self, const Arguments& arguments) {
  no_arguments("islower", arguments);
  return Value::boolean(is_lower_text(self.text()));
}

Value is_all_upper(Runtime&, const Value& self, const Arguments& arguments) {
  no_arguments("isupper", arguments);
  return Value::boolean(is_upper_text(self.text()));
}

Value is_titled(Runtime&, const Value& self, const Arguments& arguments) {
  no_arguments("istitle", arguments);
  bool cased = false;
  bool inside = false;
  for (const char32_t c : code_points(self.text())) {
    if (is_upper(c) || is_title(c)) {
      if (inside) return Value::boolean(false);
      inside = cased = true;
    } else if (is_lower(c)) {
      if (!inside) return Value::boolean(false);
      cased = true;
    } else {
      inside = false;
    }
  }
  return Value::boolean(cased);
}

template <Side side>
Value strip(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value set = bind_arguments("strip", arguments, {"chars"}, 0, true)[0];
  runtime.handle(self.text().size());
  if (absent_argument(set)) return keep(runtime, self, strip_space(self.text(), side));
  const std::string& characters = text_argument(set, "strip");
  runtime.handle(self.text().size() * std::min<size_t>(characters.size(), 64));
  return keep(runtime, self, strip_set(self.text(), characters, side));
}

// Searching backwards compares at every place: paid for by both lengths.
void pay_backwards(Runtime& runtime, const Value& self, const std::string& part) {
  runtime.handle(part.size() <= 32 ? self.text().size() : self.text().size() * (part.size() / 16));
}

template <bool from_right>
Value split(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("split", arguments, {"sep", "maxsplit"}, 0);
  int64_t limit = integer_argument(bound[1], "split", -1);
  if (limit < 0) limit = kNoLimit;
  runtime.handle(self.text().size());
  if (absent_argument(bound[0])) return keep_all(runtime, self, split_space(self.text(), limit, from_right));
  const std::string& separator = text_argument(bound[0], "split");
  if (separator.empty()) bad_input("split() wants a separator that is not empty");
  if (from_right) pay_backwards(runtime, self, separator);
  return keep_all(runtime, self, split_at(self.text(), separator, limit, from_right));
}

Value split_into_lines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value keep_ends = bind_arguments("splitlines", arguments, {"keepends"}, 0)[0];
  return keep_all(runtime, self, split_lines(self.text(), flag_argument(runtime, keep_ends, false)));
}

template <bool from_right>
Value partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("partition", arguments, {"sep"}, 1, true);
  const std::string& separator = text_argument(bound[0], "partition");
  if (separator.empty()) bad_input("partition() wants a separator that is not empty");
  const std::string& text = self.text();
  if (from_right) pay_backwards(runtime, self, separator);
  const size_t at = from_right ? text.rfind(separator) : find_text(text, separator);
  const std::string_view whole = text;
  if (at == std::string::npos) {
    const Value empty = keep(runtime, self, std::string_view());
    const Value all = keep(runtime, self, whole);
    return from_right ? runtime.tuple({empty, empty, all}) : runtime.tuple({all, empty, empty});
  }
  return runtime.tuple({keep(runtime, self, whole.substr(0, at)), keep(runtime, self, separator),
                        keep(runtime, self, whole.substr(at + separator.size()))});
}

// text[start:end] by code points as find, count and startswith take it: nothing when start is past the end.
struct Window {
  std::string_view text;
  int64_t start = 0;
  bool valid = true;
};

Window window(const Value& self, const Value& start_value, const Value& end_value) {
  const int64_t length = self.string().length();
  const auto bound = [&](const Value& value, int64_t fallback) {
    if (absent_argument(value)) return fallback;
    const int64_t at = integer_argument(value, "find");
    return std::min(at < 0 ? std::max<int64_t>(at + length, 0) : at, length + 1);
  };
  Window result;
  result.start = bound(start_value, 0);
  const int64_t end = std::min(bound(end_value, length), length);
  result.valid = result.start <= end;
  if (!result.valid) return result;
  const std::string_view text = self.text();
  const size_t begin = code_point_offset(text, result.start);
  result.text = text.substr(begin, code_point_offset(text.substr(begin), end - result.start));
  return result;
}

template <bool from_right, bool required>
Value find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("find", arguments, {"sub", "start", "end"}, 1, true);
  const std::string& part = text_argument(bound[0], "find");
  runtime.handle(self.text().size());
  if (from_right) pay_backwards(runtime, self, part);
  const Window where = window(self, bound[1], bound[2]);
  size_t at = std::string_view::npos;
  if (where.valid) at = from_right ? where.text.rfind(part) : find_text(where.text, part);
  if (at != std::string_view::npos)
    return Value::integer(where.start + count_code_points(where.text.substr(0, at)));
  if (required) bad_input("index(): substring not found");
  return Value::integer(-1);
}

Value count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("count", arguments, {"sub", "start", "end"}, 1, true);
  const std::string& part = text_argument(bound[0], "count");
  runtime.handle(self.text().size());
  const Window where = window(self, bound[1], bound[2]);
  if (!where.valid) return Value::integer(0);
  if (part.empty()) return Value::integer(count_code_points(where.text) + 1);
  return Value::integer(count_text(where.text, part));
}

template <bool at_end>
Value affixed(Runtime&, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound =
      bind_arguments(at_end ? "endswith" : "startswith", arguments, {"prefix", "start", "end"}, 1, true);
  const Window where = window(self, bound[1], bound[2]);
  const auto matches = [&](const Value& affix) {
    const std::string& text = text_argument(affix, at_end ? "endswith" : "startswith");
    return where.valid && (at_end ? where.text.ends_with(text) : where.text.starts_with(text));
  };
  if (!bound[0].is_tuple()) return Value::boolean(matches(bound[0]));
  return Value::boolean(std::any_of(bound[0].items().begin(), bound[0].items().end(), matches));
}

template <bool at_end>
Value remove_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("removeprefix", arguments, {"affix"}, 1, true);
  const std::string& affix = text_argument(bound[0], at_end ? "removesuffix" : "removeprefix");
  std::string_view text = self.text();
  if (at_end && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!at_end && text.starts_with(affix)) text.remove_prefix(affix.size());
  return keep(runtime, self, text);
}

Value replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("replace", arguments, {"old", "new", "count"}, 2, true);
  const std::string& from = text_argument(bound[0], "replace");
  std::string to = text_argument(bound[1], "replace");
  if (self.string().markup() && !bound[1].string().markup()) to = escape_html(to);
  int64_t limit = integer_argument(bound[2], "replace", -1);
  if (limit < 0) limit = kNoLimit;
  runtime.handle(self.text().size());
  runtime.expect(1, static_cast<int64_t>(replaced_size(self.text(), from, to, limit)));
  return keep(runtime, self, replaced(self.text(), from, to, limit));
}

Value join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("join", arguments, {"iterable"}, 1, true);
  const std::unique_ptr<Iterator> items = iterate(runtime, bound[0]);
  std::string out;
  Value item;
  for (int64_t i = 0; items->next(runtime, item); ++i) {
    if (i > 0) out += self.text();
    if (self.string().markup()) {
      const bool safe = item.is_string() && item.string().markup();
      out += safe ? item.text() : escape_html(text_of(runtime, item));
    } else {
      if (!item.is_string()) bad_input("join(): item {} is of type {}, not text", i, type_name(item));
      out += item.text();
    }
    runtime.expect(1, static_cast<int64_t>(out.size()));
  }
  return keep(runtime, self, std::move(out));
}

template <char align>
Value justify(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("justify", arguments, {"width", "fillchar"}, 1, true);
  const std::string fill = bound[1].is_missing() ? " " : text_argument(bound[1], "justify");
  if (count_code_points(fill) != 1) bad_input("the fill character must be exactly one character long");
  const int64_t width = integer_argument(bound[0], "justify");
  const int64_t padding = std::max<int64_t>(width - self.string().length(), 0);
  // Python gives the odd one to the left when the width is odd.
  const int64_t left = align == '>' ? padding : align == '<' ? 0 : padding / 2 + (padding & width & 1);
  runtime.expect(padding, static_cast<int64_t>(fill.size()));
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (int64_t i = left; i < padding; ++i) out += fill;
  return keep(runtime, self, std::move(out));
}

Value zero_fill(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("zfill", arguments, {"width"}, 1, true);
  const int64_t padding = std::max<int64_t>(integer_argument(bound[0], "zfill") - self.string().length(), 0);
  runtime.expect(padding, 1);
  std::string text = self.text();
  text.insert(text.starts_with('+') || text.starts_with('-') ? 1 : 0, static_cast<size_t>(padding), '0');
  return keep(runtime, self, std::move(text));
}

Value expand_tabs(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value size_value = bind_arguments("expandtabs", arguments, {"tabsize"}, 0)[0];
  const int64_t size = std::max<int64_t>(integer_argument(size_value, "expandtabs", 8), 0);
  runtime.expect(count_text(self.text(), "\t"), size);
  std::string out;
  int64_t column = 0;
  for (const char32_t c : code_points(self.text())) {
    if (c == U'\t') {
      const int64_t spaces = size == 0 ? 0 : size - column % size;
      out.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
      continue;
    }
    append_utf8(out, c);
    column = c == U'\n' || c == U'\r' ? 0 : column + 1;
  }
  return keep(runtime, self, std::move(out));
}

Value format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return brace_format(runtime, self, arguments);
}

Value format_map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("format_map", arguments, {"mapping"}, 1, true);
  if (!bound[0].is_dict()) bad_input("format_map() wants a dict, not {}", type_name(bound[0]));
  Arguments named;
  for (const auto& [key, value] : bound[0].dict().entries()) {
    if (key.is_string()) named.keywords.emplace_back(key.text(), value);
  }
  return brace_format(runtime, self, named);
}

Value refused(Runtime&, const Value&, const Arguments&) {
  bad_input("encode(), maketrans() and translate() of text are not supported in templates here");
}

constexpr std::array kMethods = std::to_array<Method>({
    {"capitalize", mapped<capitalized>},
    {"casefold", mapped<case_folded>},
    {"center", justify<'^'>},
    {"count", count},
    {"encode", refused},
    {"endswith", affixed<true>},
    {"expandtabs", expand_tabs},
    {"find", find<false, false>},
    {"format", format},
    {"format_map", format_map},
    {"index", find<false, true>},
    {"isalnum", all_are<is_alphanumeric>},
    {"isalpha", all_are<is_alpha>},
    {"isascii", is_ascii},
    {"isdecimal", all_are<is_decimal>},
    {"isdigit", all_are<is_digit>},
    {"isidentifier", is_identifier},
    {"islower", is_all_lower},
    {"isnumeric", all_are<is_numeric>},
    {"isprintable", is_all_printable},
    {"isspace", all_are<is_space>},
    {"istitle", is_titled},
    {"isupper", is_all_upper},
    {"join", join},
    {"ljust", justify<'<'>},
    {"lower", mapped<lower_case>},
    {"lstrip", strip<Side::kLeft>},
    {"maketrans", refused},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"rjust", justify<'>'>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip<Side::kRight>},
    {"split", split<false>},
    {"splitlines", split_into_lines},
    {"startswith", affixed<false>},
    {"strip", strip<Side::kBoth>},
    {"swapcase", mapped<swapped_case>},
    {"title", mapped<title_case>},
    {"translate", refused},
    {"upper", mapped<upper_case>},
    {"zfill", zero_fill},
});

}  // namespace

const Method* find_string_method(std::string_view name) {
  const auto at =
      std::lower_bound(kMethods.begin(), kMethods.end(), name,
                       [](const Method& method, std::string_view wanted) { return method.name < wanted; });
  return at != kMethods.end() && at->name == name ? &*at : nullptr;
}

}  // namespace martlet::text::jinja

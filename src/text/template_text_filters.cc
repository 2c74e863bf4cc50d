// Filters on text.

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "text/template_arguments.h"
#include "text/template_attribute.h"
#include "text/template_filter_groups.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_text.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

Value keep(Runtime& runtime, const Value& like, std::string text) {
  return runtime.text(std::move(text), like.string().markup());
}

template <std::string (*map)(std::string_view)>
Value mapped(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("filter", arguments, {}, 0);
  const Value text = soft_text(runtime, subject);
  return keep(runtime, text, map(text.text()));
}

// Every run of letters after a space, a hyphen or an opening bracket begins in upper case.
Value title(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("title", arguments, {}, 0);
  const Value text = soft_text(runtime, subject);
  std::string out;
  std::string word;
  const auto finish = [&] {
    if (word.empty()) return;
    const size_t first = static_cast<size_t>(decode_utf8(word, 0).length);
    out += upper_case(word.substr(0, first)) + lower_case(word.substr(first));
    word.clear();
  };
  for (const char32_t c : code_points(text.text())) {
    if (is_space(c) || c == U'-' || c == U'(' || c == U'{' || c == U'[' || c == U'<') {
      finish();
      append_utf8(out, c);
    } else {
      append_utf8(word, c);
    }
  }
  finish();
  return runtime.text(std::move(out));
}

Value trim(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const Value set = bind_arguments("trim", arguments, {"chars"}, 0)[0];
  const Value text = soft_text(runtime, subject);
  Arguments forwarded;
  if (!set.is_missing()) forwarded.positional.push_back(set);
  return *call_method(runtime, text, "strip", forwarded);
}

Value center(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const Value width = bind_arguments("center", arguments, {"width"}, 0)[0];
  Arguments forwarded;
  forwarded.positional.push_back(width.is_missing() ? Value::integer(80) : width);
  return *call_method(runtime, soft_text(runtime, subject), "center", forwarded);
}

Value replace(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("replace", arguments, {"old", "new", "count"}, 2);
  const std::string from = text_of(runtime, bound[0]);
  const std::string to = text_of(runtime, bound[1]);
  int64_t limit = absent_argument(bound[2]) ? -1 : integer_argument(bound[2], "replace");
  if (limit < 0) limit = kNoLimit;
  const std::string text = text_of(runtime, subject);
  runtime.expect(1, static_cast<int64_t>(replaced_size(text, from, to, limit)));
  return runtime.text(replaced(text, from, to, limit));
}

Value string(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("string", arguments, {}, 0);
  return soft_text(runtime, subject);
}

Value format(Runtime& runtime, const Value& subject, Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.keywords.empty()) {
    bad_input("format: positional and keyword arguments cannot be given together");
  }
  Value values;
  if (arguments.keywords.empty()) {
    values = runtime.tuple(arguments.positional);
  } else {
    Ref<DictObject> named(new DictObject);
    for (const auto& [name, value] : arguments.keywords) named->insert(runtime, runtime.text(name), value);
    values = runtime.dict(named);
  }
  return printf_format(runtime, soft_text(runtime, subject), values);
}

Value indent(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("indent", arguments, {"width", "first", "blank"}, 0);
  const std::string text = text_argument(subject, "indent") + "\n";
  std::string indentation;
  if (bound[0].is_string()) {
    indentation = bound[0].text();
  } else {
    const int64_t width = std::max<int64_t>(integer_argument(bound[0], "indent", 4), 0);
    runtime.expect(width, 1);
    indentation.assign(static_cast<size_t>(width), ' ');
  }
  const bool blank = flag_argument(runtime, bound[2], false);
  std::vector<std::string_view> lines = split_lines(text, false);
  runtime.expect(static_cast<int64_t>(lines.size()), static_cast<int64_t>(indentation.size()) + 1);
  std::string out = flag_argument(runtime, bound[1], false) ? indentation : std::string();
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indentation;
    out += lines[i];
  }
  return keep(runtime, subject, std::move(out));
}

Value truncate(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound =
      bind_arguments("truncate", arguments, {"length", "killwords", "end", "leeway"}, 0);
  const int64_t length = integer_argument(bound[0], "truncate", 255);
  const std::string end = bound[2].is_missing() ? "..." : text_argument(bound[2], "truncate");
  const int64_t leeway = absent_argument(bound[3]) ? 5 : integer_argument(bound[3], "truncate");
  const int64_t room = length - count_code_points(end);
  if (room < 0) bad_input("truncate: the length {} is less than that of the end", length);
  if (leeway < 0) bad_input("truncate: the leeway must not be negative");
  const std::optional<int64_t> given = length_of(runtime, subject);
  if (given && *given - leeway <= length) return subject;  // whatever it is
  const std::string_view text = text_argument(subject, "truncate");
  const std::string_view cut = text.substr(0, code_point_offset(text, room));
  const size_t space = flag_argument(runtime, bound[1], false) ? std::string_view::npos : cut.rfind(' ');
  return keep(runtime, subject, std::string(cut.substr(0, space)) + end);
}

Value wordcount(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("wordcount", arguments, {}, 0);
  int64_t count = 0;
  bool inside = false;
  const Value text = soft_text(runtime, subject);
  for (const char32_t c : code_points(text.text())) {
    if (is_word(c) && !inside) ++count;
    inside = is_word(c);
  }
  return Value::integer(count);
}

// What Hugging Face puts in the place of jinja2's own `tojson`, which would escape HTML.
Value tojson(Runtime& runtime, const Value& subject, Arguments& arguments) {
  // Called as tojson(2), jinja2 means the indentation and Hugging Face `ensure_ascii`: a number is the former
  // here.
  if (!arguments.positional.empty() && arguments.positional[0].kind() == ValueKind::kInteger) {
    arguments.positional.insert(arguments.positional.begin(), Value::boolean(false));
  }
  const std::vector<Value> bound =
      bind_arguments("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ascii = flag_argument(runtime, bound[0], false);
  style.sort_keys = flag_argument(runtime, bound[3], false);
  if (!absent_argument(bound[1])) {
    style.indented = true;
    style.item_separator = ",";
    if (bound[1].is_string()) {
      style.indent = bound[1].text();
    } else {
      const int64_t width = std::max<int64_t>(integer_argument(bound[1], "tojson"), 0);
      runtime.expect(width, 1);
      style.indent.assign(static_cast<size_t>(width), ' ');
    }
  }
  if (!absent_argument(bound[2])) {
    if (!bound[2].is_sequence() || bound[2].items().size() != 2)
      bad_input("tojson: separators must be two texts");
    style.item_separator = text_argument(bound[2].items()[0], "tojson");
    style.key_separator = text_argument(bound[2].items()[1], "tojson");
  }
  std::string out;
  print_json(runtime, subject, style, out);
  return runtime.text(std::move(out));
}

constexpr std::array kFilters = std::to_array<NamedFunction>({
    {"capitalize", mapped<capitalized>},
    {"center", center},
    {"format", format},
    {"indent", indent},
    {"lower", mapped<lower_case>},
    {"replace", replace},
    {"string", string},
    {"title", title},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", mapped<upper_case>},
    {"wordcount", wordcount},
});

}  // namespace

std::span<const NamedFunction> text_filters() {
  return kFilters;
}

Value soft_text(Runtime& runtime, const Value& value) {
  return value.is_string() ? value : runtime.text(text_of(runtime, value));
}

}  // namespace martlet::text::jinja

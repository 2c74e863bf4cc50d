// Filters that escape text for HTML and URLs, or mark it as escaped.

#include <array>

#include "base/utf8.h"
#include "text/template_arguments.h"
#include "text/template_filter_groups.h"
#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_text.h"

namespace martlet::text::jinja {
namespace {

Value escape(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("escape", arguments, {}, 0);
  if (subject.is_string() && subject.string().markup()) return subject;
  return runtime.text(escape_html(text_of(runtime, subject)), true);
}

Value force_escape(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("forceescape", arguments, {}, 0);
  return runtime.text(escape_html(text_of(runtime, subject)), true);
}

Value safe(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("safe", arguments, {}, 0);
  return runtime.text(text_of(runtime, subject), true);
}

// The entities that `escape` makes and numeric ones; other names stay as they are.
std::string unescape_html(std::string_view text) {
  struct Entity {
    std::string_view name;
    std::string_view text;
  };
  constexpr std::array<Entity, 6> kEntities = {
      {{"amp;", "&"}, {"lt;", "<"}, {"gt;", ">"}, {"quot;", "\""}, {"apos;", "'"}, {"nbsp;", "\xC2\xA0"}}};
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    const std::string_view rest = text.substr(at + 1);
    if (text[at] != '&') {
      out += text[at];
      continue;
    }
    if (rest.starts_with("#")) {
      const bool hex = rest.size() > 1 && (rest[1] == 'x' || rest[1] == 'X');
      const size_t first = hex ? 2 : 1;
      const size_t last = rest.find_first_not_of(hex ? "0123456789abcdefABCDEF" : "0123456789", first);
      if (last != std::string_view::npos && last > first && last - first < 8 && rest[last] == ';') {
        const auto code = std::stoul(std::string(rest.substr(first, last - first)), nullptr, hex ? 16 : 10);
        append_utf8(out, code > 0x10FFFF || code == 0 || (code >= 0xD800 && code < 0xE000)
                             ? 0xFFFD
                             : static_cast<char32_t>(code));
        at += last + 1;
        continue;
      }
    }
    out += '&';
    for (const Entity& entity : kEntities) {
      if (!rest.starts_with(entity.name)) continue;
      out.pop_back();
      out += entity.text;
      at += entity.name.size();
      break;
    }
  }
  return out;
}

Value striptags(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("striptags", arguments, {}, 0);
  const std::string text = text_of(runtime, subject);
  std::string kept;
  size_t at = 0;
  for (size_t begin = 0; (begin = text.find('<', at)) != std::string::npos;) {
    const bool comment = text.compare(begin, 4, "<!--") == 0;
    const size_t end = comment ? text.find("-->", begin + 4) : text.find('>', begin);
    if (end == std::string::npos) break;
    kept += text.substr(at, begin - at);
    at = end + (comment ? 3 : 1);
  }
  kept += text.substr(at);
  std::string joined;
  for (const std::string_view word : split_space(kept, kNoLimit, false)) {
    if (!joined.empty()) joined += ' ';
    joined += word;
  }
  return runtime.text(unescape_html(joined));
}

std::string url_quoted(std::string_view text, bool query) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query);
    if (plain) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

Value urlencode(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("urlencode", arguments, {}, 0);
  const bool pairs = !subject.is_string() && try_iterate(runtime, subject) != nullptr;
  if (!pairs) return runtime.text(url_quoted(text_of(runtime, subject), false));
  std::string out;
  const std::vector<Value> items =
      collect(runtime, subject.is_dict() ? make_view(runtime, subject, DictPart::kItems) : subject);
  for (const Value& item : items) {
    const std::vector<Value> pair = collect(runtime, item);
    if (pair.size() != 2) bad_input("urlencode: wants pairs, got {} parts", pair.size());
    if (!out.empty()) out += '&';
    out += url_quoted(text_of(runtime, pair[0]), true) + "=" + url_quoted(text_of(runtime, pair[1]), true);
  }
  return runtime.text(std::move(out));
}

Value xmlattr(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const Value space = bind_arguments("xmlattr", arguments, {"autospace"}, 0)[0];
  if (!subject.is_dict()) bad_input("xmlattr: wants a dict, not {}", type_name(subject));
  const auto escaped = [&](const Value& value) {
    const bool is_safe = value.is_string() && value.string().markup();
    return is_safe ? value.text() : escape_html(text_of(runtime, value));
  };
  std::string out;
  for (const auto& [key, value] : subject.dict().entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    if (text_argument(key, "xmlattr").find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      bad_input("xmlattr: invalid character in the name {}", repr_of(runtime, key));
    }
    if (!out.empty()) out += ' ';
    out += escaped(key) + "=\"" + escaped(value) + "\"";
  }
  if (!out.empty() && flag_argument(runtime, space, true)) out.insert(0, 1, ' ');
  return runtime.text(std::move(out));
}

constexpr std::array kFilters = std::to_array<NamedFunction>({{"e", escape},
                                                              {"escape", escape},
                                                              {"forceescape", force_escape},
                                                              {"safe", safe},
                                                              {"striptags", striptags},
                                                              {"urlencode", urlencode},
                                                              {"xmlattr", xmlattr}});

}  // namespace

std::span<const NamedFunction> markup_filters() {
  return kFilters;
}

}  // namespace martlet::text::jinja

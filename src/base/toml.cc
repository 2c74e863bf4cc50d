#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <sstream>
#include <toml++/toml.h>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/utf8.h"

namespace martlet {
namespace {

constexpr size_t kMaximumDepth = 200;

/// Walks a TOML text knowing only strings, comments, brackets and dots, and measures how deep its values
/// nest. Problem: toml++ bounds brackets (256) but not dotted keys, and frees its tree by recursion, so that
/// `a.a.a.a = 1` of a megabyte would exhaust the stack before anything of ours is asked. Hence this look
/// before it is called.
class DepthScan {
 public:
  explicit DepthScan(std::string_view text) : text_(text) {}

  /// The line where the depth passes the limit, or 0.
  int line_too_deep() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        skip_string(c);
        continue;
      }
      ++at_;
      if (c == '#') at_ = std::min(text_.find('\n', at_), text_.size());
      if (c == '\n') ++line_;
      if (c == '\n' || c == ',') dots_ = 0;
      if (c == '.') ++dots_;
      if (c == '[' || c == '{') {
        open_.push_back(dots_);
        outer_ += dots_ + 1;
        dots_ = 0;
      }
      if ((c == ']' || c == '}') && !open_.empty()) {
        dots_ = open_.back();
        outer_ -= dots_ + 1;
        open_.pop_back();
      }
      if (outer_ + dots_ > kMaximumDepth) return line_;
    }
    return 0;
  }

 private:
  void skip_string(char quote) {
    const std::string three(3, quote);
    const bool is_long = text_.substr(at_, 3) == three;
    at_ += is_long ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        if (!is_long) return;
        ++line_;
      }
      if (c == '\\' && quote == '"' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
        at_ += 2;
      } else if (c != quote) {
        ++at_;
      } else if (!is_long) {
        ++at_;
        return;
      } else if (text_.substr(at_, 3) == three) {
        at_ += 3;
        // Up to two quotes may stand before the closing three.
        for (int i = 0; i < 2 && at_ < text_.size() && text_[at_] == quote; ++i) ++at_;
        return;
      } else {
        ++at_;
      }
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  size_t dots_ = 0;           // in the key or value now read
  size_t outer_ = 0;          // levels of all open brackets and the keys before them
  std::vector<size_t> open_;  // the dots before each open bracket
};

int line_of(const toml::source_region& region) {
  return static_cast<int>(region.begin.line);
}

template <typename Value>
std::string as_text(const Value& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

class Converter {
 public:
  explicit Converter(std::string_view source) : source_(source) {}

  Json convert(const toml::node& node, size_t depth) const {
    if (depth > kMaximumDepth) {
      bad_input("{}:{}: lists and tables are nested deeper than {} levels", source_, line_of(node.source()),
                kMaximumDepth);
    }
    Json made = value_of(node, depth);
    made.set_line(line_of(node.source()));
    return made;
  }

 private:
  Json value_of(const toml::node& node, size_t depth) const {
    if (const auto* table = node.as_table()) return Json(members_of(*table, depth));
    if (const auto* list = node.as_array()) {
      Json::Array items;
      items.reserve(list->size());
      for (const toml::node& item : *list) items.push_back(convert(item, depth + 1));
      return Json(std::move(items));
    }
    if (const auto* text = node.as_string()) return Json(text->get());
    if (const auto* integer = node.as_integer()) return Json(int64_t{integer->get()});
    if (const auto* real = node.as_floating_point()) return Json(real->get());
    if (const auto* boolean = node.as_boolean()) return Json(boolean->get());
    if (const auto* date = node.as_date()) return Json(as_text(date->get()));
    if (const auto* time = node.as_time()) return Json(as_text(time->get()));
    if (const auto* moment = node.as_date_time()) return Json(as_text(moment->get()));
    return Json();
  }

  /// toml++ sorts by name; the order of the text is brought back from where the keys stand.
  Json::Object members_of(const toml::table& table, size_t depth) const {
    struct Placed {
      toml::source_position place;
      Json::Member member;
    };
    std::vector<Placed> placed;
    placed.reserve(table.size());
    for (const auto& [key, value] : table) {
      const toml::source_position place = key.source().begin;
      Json made = convert(value, depth + 1);
      if (place.line > 0) made.set_line(static_cast<int>(place.line));
      placed.push_back({place, {std::string(key.str()), std::move(made)}});
    }
    std::stable_sort(placed.begin(), placed.end(),
                     [](const Placed& a, const Placed& b) { return a.place < b.place; });
    Json::Object members;
    members.reserve(placed.size());
    for (Placed& each : placed) members.push_back(std::move(each.member));
    return members;
  }

  std::string_view source_;
};

void write_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : replace_invalid_utf8(text)) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      fmt::format_to(std::back_inserter(out), "\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void write_key(std::string& out, std::string_view key) {
  const auto is_bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (!key.empty() && std::all_of(key.begin(), key.end(), is_bare)) {
    out += key;
  } else {
    write_text(out, key);
  }
}

void write_real(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
    return;
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const std::string_view shortest(digits, static_cast<size_t>(end - digits));
  out += shortest;
  if (shortest.find_first_of(".e") == std::string_view::npos) out += ".0";
}

/// A value on one line: scalars, lists, and tables inside lists that hold more than tables.
void write_inline(std::string& out, const Json& value) {
  switch (value.kind()) {
    case Json::Kind::kNull:
      failed("TOML has no null, so a list that holds one cannot be written");
    case Json::Kind::kBoolean:
      out += value.boolean() ? "true" : "false";
      break;
    case Json::Kind::kInteger:
      fmt::format_to(std::back_inserter(out), "{}", value.integer());
      break;
    case Json::Kind::kReal:
      write_real(out, value.real());
      break;
    case Json::Kind::kString:
      write_text(out, value.string());
      break;
    case Json::Kind::kArray: {
      out += '[';
      for (const Json& item : value.array()) {
        if (&item != &value.array().front()) out += ", ";
        write_inline(out, item);
      }
      out += ']';
      break;
    }
    case Json::Kind::kObject: {
      std::string_view separator = "{ ";
      for (const auto& [key, item] : value.object()) {
        if (item.is_null()) continue;
        out += separator;
        separator = ", ";
        write_key(out, key);
        out += " = ";
        write_inline(out, item);
      }
      out += separator == "{ " ? "{}" : " }";
      break;
    }
  }
}

bool is_list_of_tables(const Json& value) {
  if (!value.is_array() || value.array().empty()) return false;
  const Json::Array& items = value.array();
  return std::all_of(items.begin(), items.end(), [](const Json& item) { return item.is_object(); });
}

/// A title such as [a.b] or [[a.b]], after an empty line unless it is the first of the text.
void write_title(std::string& out, std::string_view path, std::string_view open, std::string_view close) {
  if (!out.empty()) out += '\n';
  fmt::format_to(std::back_inserter(out), "{}{}{}\n", open, path, close);
}

void write_table(std::string& out, const Json::Object& members, const std::string& path) {
  for (const auto& [key, value] : members) {
    if (value.is_null() || value.is_object() || is_list_of_tables(value)) continue;
    write_key(out, key);
    out += " = ";
    write_inline(out, value);
    out += '\n';
  }
  const auto below = [&](std::string_view key) {
    std::string longer = path.empty() ? "" : path + ".";
    write_key(longer, key);
    return longer;
  };
  for (const auto& [key, value] : members) {
    if (!value.is_object()) continue;
    const std::string title = below(key);
    write_title(out, title, "[", "]");
    write_table(out, value.object(), title);
  }
  for (const auto& [key, value] : members) {
    if (!is_list_of_tables(value)) continue;
    const std::string title = below(key);
    for (const Json& item : value.array()) {
      write_title(out, title, "[[", "]]");
      write_table(out, item.object(), title);
    }
  }
}

}  // namespace

Json parse_toml(std::string_view text, std::string_view source) {
  if (const int line = DepthScan(text).line_too_deep()) {
    bad_input("{}:{}: lists and tables are nested deeper than {} levels", source, line, kMaximumDepth);
  }
  try {
    const toml::table root = toml::parse(text);
    Json made = Converter(source).convert(root, 0);
    made.set_line(1);
    return made;
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    bad_input("{}:{}:{}: {}", source, at.line, at.column, replace_invalid_utf8(error.description()));
  }
}

Json parse_toml_file(const std::string& path) {
  return parse_toml(read_file(path), path);
}

std::string dump_toml(const Json& object) {
  std::string out;
  write_table(out, object.object(), "");
  return out;
}

}  // namespace martlet

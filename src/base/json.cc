#include "base/json.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/utf8.h"

namespace martlet {
namespace {

constexpr size_t kMaximumDepth = 200;
// A syntax error quotes the last token; a token may be megabytes long.
constexpr size_t kMaximumMessage = 240;
// Below this many members comparing all pairs of keys is cheaper than hashing them.
constexpr size_t kFewMembers = 16;

/// Line and column (in characters, both from 1) of the byte at `offset`.
std::pair<size_t, size_t> line_and_column(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const size_t newlines = static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t last = before.rfind('\n');
  const std::string_view line = last == std::string_view::npos ? before : before.substr(last + 1);
  const auto characters =
      std::count_if(line.begin(), line.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
  return {newlines + 1, static_cast<size_t>(characters) + 1};
}

[[noreturn]] void fail_at(std::string_view text, std::string_view source, size_t offset,
                          std::string_view reason) {
  const auto [line, column] = line_and_column(text, offset);
  bad_input("{}:{}:{}: {}", source, line, column, reason);
}

/// The byte of the bracket that opens one level too many. Everything before it is known to be well formed.
size_t offset_of_depth(std::string_view text, size_t limit) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > limit) return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return text.size();
}

/// Keeps the place of the first and the value of the last of equal keys, as every common reader does.
void merge_equal_keys(Json::Object& members) {
  if (members.size() < 2) return;
  std::vector<bool> dropped(members.size(), false);
  bool any = false;
  const auto merge = [&](size_t first, size_t later) {
    members[first].second = std::move(members[later].second);
    dropped[later] = any = true;
  };
  if (members.size() <= kFewMembers) {
    for (size_t i = 1; i < members.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (!dropped[j] && members[j].first == members[i].first) {
          merge(j, i);
          break;
        }
      }
    }
  } else {
    // A vocabulary is a table of a quarter of a million keys: places in one flat table, at most half full.
    constexpr uint32_t kFree = UINT32_MAX;
    std::vector<uint32_t> places(std::bit_ceil(members.size() * 2), kFree);
    for (size_t i = 0; i < members.size(); ++i) {
      const std::string_view key = members[i].first;
      size_t at = std::hash<std::string_view>()(key) & (places.size() - 1);
      while (places[at] != kFree && members[places[at]].first != key) at = (at + 1) & (places.size() - 1);
      if (places[at] == kFree) {
        places[at] = static_cast<uint32_t>(i);
      } else {
        merge(places[at], i);
      }
    }
  }
  if (!any) return;
  size_t kept = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    if (dropped[i]) continue;
    if (kept != i) members[kept] = std::move(members[i]);
    ++kept;
  }
  members.resize(kept);
}

/// Takes the parser's events and builds the value in place. Pointers to open containers stay valid: a
/// container's parent does not grow while the container is open.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(Json& root, std::string_view text, std::string_view source)
      : root_(root), text_(text), source_(source) {}

  bool null() override { return place(Json()); }
  bool boolean(bool value) override { return place(Json(value)); }
  bool number_integer(number_integer_t value) override { return place(Json(int64_t{value})); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<number_unsigned_t>(INT64_MAX)) return place(Json(static_cast<double>(value)));
    return place(Json(static_cast<int64_t>(value)));
  }
  bool number_float(number_float_t value, const string_t&) override { return place(Json(value)); }
  bool string(string_t& value) override { return place(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override { return open(Json(Json::Object())); }
  bool key(string_t& value) override {
    open_.back()->object().emplace_back(std::move(value), Json());
    return true;
  }
  bool end_object() override {
    merge_equal_keys(open_.back()->object());
    open_.pop_back();
    return true;
  }
  bool start_array(size_t) override { return open(Json(Json::Array())); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    std::string_view reason = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: reason": the place is told our way.
    if (const size_t bracket = reason.find("] "); bracket != std::string_view::npos) {
      reason.remove_prefix(bracket + 2);
    }
    if (reason.starts_with("parse error at ")) {
      if (const size_t colon = reason.find(": "); colon != std::string_view::npos) {
        reason.remove_prefix(colon + 2);
      }
    }
    std::string shown(reason.substr(0, kMaximumMessage));
    if (shown.size() < reason.size()) shown = shown.substr(0, complete_utf8_prefix(shown)) + "...";
    fail_at(text_, source_, position == 0 ? 0 : position - 1, replace_invalid_utf8(shown));
  }

 private:
  Json& add(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_array()) return parent.array().emplace_back(std::move(value));
    return parent.object().back().second = std::move(value);
  }
  bool place(Json value) {
    add(std::move(value));
    return true;
  }
  bool open(Json container) {
    if (open_.size() == kMaximumDepth) {
      fail_at(text_, source_, offset_of_depth(text_, kMaximumDepth),
              fmt::format("lists and tables are nested deeper than {} levels", kMaximumDepth));
    }
    open_.push_back(&add(std::move(container)));
    return true;
  }

  Json& root_;
  std::string_view text_;
  std::string_view source_;
  std::vector<Json*> open_;
};

void write_string(std::string& out, std::string_view text) {
  if (!is_valid_utf8(text)) {
    write_string(out, replace_invalid_utf8(text));
    return;
  }
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void write_real(std::string& out, double value) {
  // JSON has no spelling for these; every common reader takes null.
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char digits[32];
  const auto result = std::to_chars(digits, digits + sizeof digits, value);
  const std::string_view shortest(digits, static_cast<size_t>(result.ptr - digits));
  out += shortest;
  // A real stays a real when it is read again.
  if (shortest.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void new_line(std::string& out, int indent, int level) {
  if (indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent) * static_cast<size_t>(level), ' ');
}

void write_value(std::string& out, const Json& value, int indent, int level) {
  switch (value.kind()) {
    case Json::Kind::kNull:
      out += "null";
      break;
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
      write_string(out, value.string());
      break;
    case Json::Kind::kArray: {
      out += '[';
      bool first = true;
      for (const Json& item : value.array()) {
        if (!first) out += indent < 0 ? ", " : ",";
        first = false;
        new_line(out, indent, level + 1);
        write_value(out, item, indent, level + 1);
      }
      if (!first) new_line(out, indent, level);
      out += ']';
      break;
    }
    case Json::Kind::kObject: {
      out += '{';
      bool first = true;
      for (const auto& [key, item] : value.object()) {
        if (!first) out += indent < 0 ? ", " : ",";
        first = false;
        new_line(out, indent, level + 1);
        write_string(out, key);
        out += ": ";
        write_value(out, item, indent, level + 1);
      }
      if (!first) new_line(out, indent, level);
      out += '}';
      break;
    }
  }
}

}  // namespace

Json Json::parse(std::string_view text, std::string_view source) {
  Json root;
  Builder builder(root, text, source);
  if (!nlohmann::json::sax_parse(text, &builder)) bad_input("{}: this is not JSON", source);
  return root;
}

Json Json::parse_file(const std::string& path) {
  return parse(read_file(path), path);
}

std::string Json::dump(int indent) const {
  std::string out;
  write_value(out, *this, indent, 0);
  return out;
}

std::string_view Json::kind_name() const {
  switch (kind()) {
    case Kind::kNull:
      return "null";
    case Kind::kBoolean:
      return "a boolean";
    case Kind::kInteger:
      return "an integer";
    case Kind::kReal:
      return "a number";
    case Kind::kString:
      return "text";
    case Kind::kArray:
      return "a list";
    case Kind::kObject:
      return "a table";
  }
  return "";
}

namespace {

[[noreturn]] void wrong_kind(std::string_view expected, const Json& got) {
  if (got.line() > 0) bad_input("line {}: expected {}, got {}", got.line(), expected, got.kind_name());
  bad_input("expected {}, got {}", expected, got.kind_name());
}

}  // namespace

bool Json::boolean() const {
  if (!is_boolean()) wrong_kind("a boolean", *this);
  return std::get<bool>(value_);
}

int64_t Json::integer() const {
  if (!is_integer()) wrong_kind("an integer", *this);
  return std::get<int64_t>(value_);
}

double Json::real() const {
  if (is_integer()) return static_cast<double>(std::get<int64_t>(value_));
  if (kind() != Kind::kReal) wrong_kind("a number", *this);
  return std::get<double>(value_);
}

const std::string& Json::string() const {
  if (!is_string()) wrong_kind("text", *this);
  return std::get<std::string>(value_);
}

const Json::Array& Json::array() const {
  if (!is_array()) wrong_kind("a list", *this);
  return std::get<Array>(value_);
}

Json::Array& Json::array() {
  if (!is_array()) wrong_kind("a list", *this);
  return std::get<Array>(value_);
}

const Json::Object& Json::object() const {
  if (!is_object()) wrong_kind("a table", *this);
  return std::get<Object>(value_);
}

Json::Object& Json::object() {
  if (!is_object()) wrong_kind("a table", *this);
  return std::get<Object>(value_);
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  const Object& members = std::get<Object>(value_);
  // From the back: an object built by hand may hold a key twice, and the last counts.
  const auto found = std::find_if(members.rbegin(), members.rend(),
                                  [&](const Member& member) { return member.first == key; });
  return found == members.rend() ? nullptr : &found->second;
}

const Json& Json::at(std::string_view key) const {
  if (const Json* found = find(key)) return *found;
  if (!is_object()) wrong_kind("a table", *this);
  bad_input("the key '{}' is missing", key);
}

Json& Json::set(std::string_view key, Json value) {
  if (is_null()) value_ = Object();
  Object& members = object();
  const auto found = std::find_if(members.rbegin(), members.rend(),
                                  [&](const Member& member) { return member.first == key; });
  if (found != members.rend()) {
    found->second = std::move(value);
  } else {
    members.emplace_back(std::string(key), std::move(value));
  }
  return *this;
}

void Json::push_back(Json value) {
  if (is_null()) value_ = Array();
  array().push_back(std::move(value));
}

}  // namespace martlet

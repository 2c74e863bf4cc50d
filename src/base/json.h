#pragma once

// JSON and TOML as one small ordered value. Parsing is bounded in depth; errors name the source, line and
// column. The heavy parser headers stay inside json.cc and toml.cc.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace martlet {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;  // in the order of the text; the last of equal keys counts
  enum class Kind { kNull, kBoolean, kInteger, kReal, kString, kArray, kObject };

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(int64_t{value}) {}
  Json(int64_t value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  /// Throws BadInput with `source`, line and column. Nesting deeper than 200 levels is refused.
  static Json parse(std::string_view text, std::string_view source);
  /// Reads a whole file.
  static Json parse_file(const std::string& path);

  /// One line when `indent` is negative. Invalid UTF-8 is written as U+FFFD. Non-ASCII text is kept as it is.
  std::string dump(int indent = -1) const;

  Kind kind() const { return static_cast<Kind>(value_.index()); }
  bool is_null() const { return kind() == Kind::kNull; }
  bool is_boolean() const { return kind() == Kind::kBoolean; }
  bool is_integer() const { return kind() == Kind::kInteger; }
  bool is_number() const { return is_integer() || kind() == Kind::kReal; }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_array() const { return kind() == Kind::kArray; }
  bool is_object() const { return kind() == Kind::kObject; }
  /// "null", "a boolean", "an integer", "a number", "text", "a list", "a table".
  std::string_view kind_name() const;

  // Each throws BadInput when the kind differs. An integer reads as a real too.
  bool boolean() const;
  int64_t integer() const;
  double real() const;
  const std::string& string() const;
  const Array& array() const;
  Array& array();
  const Object& object() const;
  Object& object();

  /// The member, or null when this is no object or has none of that name. Linear in the members.
  const Json* find(std::string_view key) const;
  /// The member; throws BadInput when missing.
  const Json& at(std::string_view key) const;
  /// Sets or adds a member; a null value becomes an object first. Returns the object.
  Json& set(std::string_view key, Json value);
  void push_back(Json value);

  /// The line in its source, where known (TOML); 0 otherwise.
  int line() const { return line_; }
  void set_line(int line) { line_ = line; }

  friend bool operator==(const Json& a, const Json& b) { return a.value_ == b.value_; }

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
  int line_ = 0;
};

/// Parses TOML into the same value; every value knows its line. Throws BadInput with `source` and line.
Json parse_toml(std::string_view text, std::string_view source);
Json parse_toml_file(const std::string& path);
/// Writes an object as TOML: scalars first, then tables, then lists of tables, in order.
std::string dump_toml(const Json& object);

}  // namespace martlet

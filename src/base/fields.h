#pragma once

// Typed reading of an object's keys with errors that name the source, the line and the nearest known key.

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace martlet {

class Fields {
 public:
  /// `object` must outlive this. `source` is how errors name it ("config.json", "recipe.toml [train]").
  Fields(const Json& object, std::string source);

  /// True when the key is there and not null.
  bool has(std::string_view key) const;

  // The value of `key`; without a fallback a missing key is an error. A null counts as missing. Wrong kinds
  // are errors, as are infinities and NaN, but a whole real ("1e6", "4096.0") reads as an integer.
  int64_t integer(std::string_view key) const;
  int64_t integer(std::string_view key, int64_t fallback) const;
  double real(std::string_view key) const;
  double real(std::string_view key, double fallback) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string text(std::string_view key) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  /// The value of any kind, or null when the key is missing or null.
  const Json* value(std::string_view key) const;

  /// An integer within [low, high]; the error gives the range.
  int64_t integer_within(std::string_view key, int64_t low, int64_t high) const;
  int64_t integer_within(std::string_view key, int64_t low, int64_t high, int64_t fallback) const;

  /// Throws for the first key that nobody asked for, with the nearest one that was asked for.
  void reject_unknown() const;

  const std::string& source() const { return source_; }

 private:
  [[noreturn]] void wrong_kind(std::string_view key, std::string_view expected, const Json& got) const;
  const Json* lookup(std::string_view key) const;
  const Json& required(std::string_view key) const;
  int64_t as_integer(std::string_view key, const Json& value) const;

  const Json& object_;
  std::string source_;
  mutable std::set<std::string, std::less<>> asked_;
};

}  // namespace martlet

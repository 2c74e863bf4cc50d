#include "base/fields.h"

#include <cmath>
#include <fmt/ranges.h>
#include <utility>

#include "base/error.h"
#include "base/human.h"

namespace martlet {
namespace {

/// ", line 12" where the line is known.
std::string place(const Json& value) {
  return value.line() > 0 ? fmt::format(", line {}", value.line()) : std::string();
}

/// A real that is a whole number ("1e6", "4096.0") reads as an integer.
std::optional<int64_t> whole(const Json& value) {
  if (value.is_integer()) return value.integer();
  if (!value.is_number()) return std::nullopt;
  const double real = value.real();
  // Within 2^53 every whole real is exactly one integer.
  if (std::abs(real) > 0x1p53 || real != std::floor(real)) return std::nullopt;
  return static_cast<int64_t>(real);
}

}  // namespace

Fields::Fields(const Json& object, std::string source) : object_(object), source_(std::move(source)) {
  if (!object.is_object()) {
    bad_input("{}{}: expected a table, got {}", source_, place(object), object.kind_name());
  }
}

const Json* Fields::lookup(std::string_view key) const {
  asked_.emplace(key);
  const Json* found = object_.find(key);
  return found != nullptr && !found->is_null() ? found : nullptr;
}

void Fields::wrong_kind(std::string_view key, std::string_view expected, const Json& got) const {
  bad_input("{}{}: '{}' must be {}, got {}", source_, place(got), key, expected, got.kind_name());
}

const Json& Fields::required(std::string_view key) const {
  if (const Json* found = lookup(key)) return *found;
  bad_input("{}{}: the key '{}' is missing", source_, place(object_), key);
}

bool Fields::has(std::string_view key) const {
  return lookup(key) != nullptr;
}

int64_t Fields::as_integer(std::string_view key, const Json& value) const {
  if (const std::optional<int64_t> number = whole(value)) return *number;
  wrong_kind(key, "an integer", value);
}

int64_t Fields::integer(std::string_view key) const {
  return as_integer(key, required(key));
}

int64_t Fields::integer(std::string_view key, int64_t fallback) const {
  const Json* found = lookup(key);
  return found == nullptr ? fallback : as_integer(key, *found);
}

double Fields::real(std::string_view key) const {
  const Json& found = required(key);
  if (!found.is_number()) wrong_kind(key, "a number", found);
  if (!std::isfinite(found.real()))
    bad_input("{}{}: '{}' must be finite, got {}", source_, place(found), key, found.real());
  return found.real();
}

double Fields::real(std::string_view key, double fallback) const {
  return has(key) ? real(key) : fallback;
}

bool Fields::boolean(std::string_view key, bool fallback) const {
  const Json* found = lookup(key);
  if (found == nullptr) return fallback;
  if (!found->is_boolean()) wrong_kind(key, "a boolean", *found);
  return found->boolean();
}

std::string Fields::text(std::string_view key) const {
  const Json& found = required(key);
  if (!found.is_string()) wrong_kind(key, "text", found);
  return found.string();
}

std::string Fields::text(std::string_view key, std::string_view fallback) const {
  return has(key) ? text(key) : std::string(fallback);
}

const Json* Fields::value(std::string_view key) const {
  return lookup(key);
}

int64_t Fields::integer_within(std::string_view key, int64_t low, int64_t high) const {
  const Json& found = required(key);
  const int64_t number = as_integer(key, found);
  if (number < low || number > high) {
    bad_input("{}{}: '{}' must be from {} to {}, got {}", source_, place(found), key, low, high, number);
  }
  return number;
}

int64_t Fields::integer_within(std::string_view key, int64_t low, int64_t high, int64_t fallback) const {
  return has(key) ? integer_within(key, low, high) : fallback;
}

void Fields::reject_unknown() const {
  for (const auto& [key, value] : object_.object()) {
    if (asked_.contains(key)) continue;
    const std::vector<std::string> known(asked_.begin(), asked_.end());
    if (const std::optional<std::string> near = nearest_name(key, known)) {
      bad_input("{}{}: unknown key '{}'; did you mean '{}'?", source_, place(value), key, *near);
    }
    bad_input("{}{}: unknown key '{}'; known here: {}", source_, place(value), key, fmt::join(known, ", "));
  }
}

}  // namespace martlet

#include "nn/arguments.h"

#include <cmath>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "base/human.h"
#include "nn/tree.h"

namespace martlet::nn {
namespace {

[[noreturn]] void refuse(const ArgumentDeclaration& declared, const Json& value, std::string_view expected,
                         std::string_view where) {
  bad_input("{}: {} takes {}, got {}", where, declared.name, expected,
            value.is_string() ? "'" + value.string() + "'" : value.dump());
}

std::optional<double> number_of(const Json& value) {
  if (value.is_number()) return value.real();
  if (!value.is_string()) return std::nullopt;
  const std::string& text = value.string();
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == '\0') return number;
  if (const auto count = parse_count(text)) return static_cast<double>(*count);
  return std::nullopt;
}

Json checked_number(const ArgumentDeclaration& declared, const Json& value, std::string_view where) {
  const bool whole = declared.type == ArgumentType::kInteger;
  const std::string expected =
      fmt::format("a {} from {:g} to {:g}", whole ? "whole number" : "number", declared.low, declared.high);
  const std::optional<double> number = number_of(value);
  if (!number || !(*number >= declared.low && *number <= declared.high))
    refuse(declared, value, expected, where);
  if (!whole) return *number;
  if (*number != std::floor(*number)) refuse(declared, value, expected, where);
  return static_cast<int64_t>(*number);
}

Json checked_text(const ArgumentDeclaration& declared, const Json& value, std::string_view where) {
  if (declared.type == ArgumentType::kPattern) {
    if (!value.is_string() || value.string().empty())
      refuse(declared, value, "a pattern such as layers.*.attention.q_proj", where);
    matches(value.string(), "layers.0");  // throws where the pattern is broken
    return value;
  }
  std::string expected;
  for (const std::string_view choice : declared.choices) {
    if (value.is_string() && value.string() == choice) return value;
    expected += fmt::format("{}{}", expected.empty() ? "" : ", ", choice);
  }
  refuse(declared, value, "one of " + expected, where);
}

Json checked(const ArgumentDeclaration& declared, const Json& value, std::string_view where) {
  const bool is_number = declared.type == ArgumentType::kInteger || declared.type == ArgumentType::kReal;
  return is_number ? checked_number(declared, value, where) : checked_text(declared, value, where);
}

void refuse_unknown(std::span<const ArgumentDeclaration> declared, const Json& given,
                    std::string_view where) {
  std::vector<std::string> known;
  for (const ArgumentDeclaration& argument : declared) known.emplace_back(argument.name);
  if (given.is_null()) return;  // a table without keys
  for (const auto& [name, value] : given.object()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto nearest = nearest_name(name, known);
    bad_input("{}: there is no argument '{}'{}", where, name,
              nearest ? fmt::format("; did you mean {}?", *nearest) : "");
  }
}

}  // namespace

Arguments::Arguments(std::span<const ArgumentDeclaration> declared, const Json& given, std::string_view where)
    : values_(Json::Object{}) {
  refuse_unknown(declared, given, where);
  for (const ArgumentDeclaration& argument : declared) {
    const Json* value = given.find(argument.name);
    if (value != nullptr) {
      values_.set(argument.name, checked(argument, *value, where));
    } else if (!argument.fallback.empty()) {
      values_.set(argument.name, checked(argument, Json(argument.fallback), where));
    }
  }
}

bool Arguments::has(std::string_view name) const {
  return values_.find(name) != nullptr;
}

int64_t Arguments::integer(std::string_view name) const {
  return values_.at(name).integer();
}

double Arguments::real(std::string_view name) const {
  return values_.at(name).real();
}

const std::string& Arguments::text(std::string_view name) const {
  return values_.at(name).string();
}

std::string Arguments::to_string() const {
  std::string text;
  for (const auto& [name, value] : values_.object())
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name,
                        value.is_string() ? value.string() : value.dump());
  return text;
}

}  // namespace martlet::nn

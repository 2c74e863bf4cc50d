#pragma once

// The typed arguments of a rewrite: declared once, read from the command line, a recipe or martlet.toml.

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace martlet::nn {

enum class ArgumentType : uint8_t { kPattern, kInteger, kReal, kChoice };

struct ArgumentDeclaration {
  std::string_view name;
  ArgumentType type;
  std::string_view help;
  std::string_view fallback = {};  ///< as a person would write it; empty: the argument may be left out
  double low = 0;                  ///< of numbers, included
  double high = 0;
  std::span<const std::string_view> choices = {};
};

/// Checked values of declared arguments, fallbacks filled in.
class Arguments {
 public:
  /// `given`: a table; numbers may be written as text ("4k"). Throws BadInput naming `where`, the argument
  /// and what it takes, and the nearest known name for an unknown one.
  Arguments(std::span<const ArgumentDeclaration> declared, const Json& given, std::string_view where);

  bool has(std::string_view name) const;
  // The value of an argument that is there.
  int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  const std::string& text(std::string_view name) const;

  /// In the order of their declaration, fallbacks included.
  const Json& values() const { return values_; }
  /// "pattern=layers.* rank=32".
  std::string to_string() const;

 private:
  Json values_;
};

}  // namespace martlet::nn

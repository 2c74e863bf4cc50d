#pragma once

// Cuts a template into tokens, with jinja2's rules for whitespace: trim_blocks and lstrip_blocks on, `-` and
// `+` beside the delimiters, one newline at the end dropped, raw blocks, comments gone.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace martlet::text::jinja {

enum class TokenKind : uint8_t {
  kText,        ///< template text; `text` is it
  kPrintBegin,  ///< {{
  kPrintEnd,
  kBlockBegin,  ///< {%
  kBlockEnd,
  kName,
  kString,  ///< `text` with its escapes resolved
  kInteger,
  kFloat,
  kOperator,  ///< `text` is the operator: + - / // * % ** ~ [ ] ( ) { } == != > >= < <= = . : | , ;
  kEnd
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;
  int64_t integer = 0;
  double real = 0.0;
};

/// Throws BadInput with line and reason. The last token is kEnd.
std::vector<Token> tokenize(std::string_view source);

/// How errors name a token.
std::string describe(const Token& token);

}  // namespace martlet::text::jinja

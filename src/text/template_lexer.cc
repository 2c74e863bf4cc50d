#include "text/template_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "base/utf8.h"
#include "text/template_literal.h"
#include "text/template_text.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

constexpr std::array<std::string_view, 6> kLongOperators = {"//", "**", "==", "!=", ">=", "<="};
constexpr std::string_view kShortOperators = "+-/*%~[](){}><=.:|,;";

bool is_ascii_digit(char c) {
  return c >= '0' && c <= '9';
}

// \r\n and \r become \n; one newline at the end goes.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t at = 0; at < source.size(); ++at) {
    if (source[at] == '\r') {
      out += '\n';
      if (at + 1 < source.size() && source[at + 1] == '\n') ++at;
    } else {
      out += source[at];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalized(source)), text_(source_) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) root();
    add(TokenKind::kEnd);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::string_view reason) const { bad_input("line {}: {}", line_, reason); }

  Token& add(TokenKind kind, std::string text = {}) {
    tokens_.push_back(Token{kind, line_, std::move(text)});
    return tokens_.back();
  }

  bool looking_at(std::string_view what, size_t at) const { return text_.substr(at).starts_with(what); }

  void move_to(size_t at) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<int64_t>(at_),
                                         text_.begin() + static_cast<int64_t>(at), '\n'));
    // Whether the text that follows starts a line: what lstrip_blocks asks.
    if (at > at_) line_starting_ = text_[at - 1] == '\n';
    at_ = at;
  }

  size_t skip_space(size_t at) const {
    const std::string_view rest = text_.substr(at);
    return at + (rest.size() - strip_space(rest, Side::kLeft).size());
  }

  // Text before a tag: stripped whole by `-`, of the tag's own indentation otherwise unless `+` or a print
  // tag.
  void add_text(std::string_view before, char sign, bool print) {
    if (sign == '-') {
      before = strip_space(before, Side::kRight);
    } else if (sign != '+' && !print) {
      const size_t line = before.rfind('\n') + 1;  // npos + 1 is 0
      if ((line > 0 || line_starting_) && strip_space(before.substr(line)).empty())
        before = before.substr(0, line);
    }
    if (!before.empty()) add(TokenKind::kText, std::string(before));
  }

  void root() {
    size_t tag = at_;
    while (true) {
      tag = text_.find('{', tag);
      if (tag == std::string_view::npos || tag + 1 >= text_.size()) {
        add(TokenKind::kText, std::string(text_.substr(at_)));
        move_to(text_.size());
        return;
      }
      const char next = text_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
      ++tag;
    }
    const std::string_view before = text_.substr(at_, tag - at_);
    const char kind = text_[tag + 1];
    size_t inside = tag + 2;
    char sign = 0;
    if (inside < text_.size() && (text_[inside] == '-' || text_[inside] == '+')) sign = text_[inside++];
    add_text(before, sign, kind == '{');
    move_to(tag);
    if (kind == '#') {
      comment(inside);
    } else if (const size_t raw = kind == '%' ? raw_begin(inside) : 0; raw != 0) {
      move_to(raw);
      raw_block();
    } else {
      add(kind == '{' ? TokenKind::kPrintBegin : TokenKind::kBlockBegin);
      move_to(inside);
      tag_body(kind == '{');
    }
  }

  // Past the end tag at `at` if there is one: [-+]? delimiter, with the whitespace (-) or the newline after
  // it.
  size_t tag_end(size_t at, std::string_view delimiter, bool trims) const {
    if (at < text_.size() && text_[at] == '-' && looking_at(delimiter, at + 1))
      return skip_space(at + 1 + delimiter.size());
    if (trims && at < text_.size() && text_[at] == '+' && looking_at(delimiter, at + 1))
      return at + 1 + delimiter.size();
    if (!looking_at(delimiter, at)) return 0;
    const size_t end = at + delimiter.size();
    return trims && end < text_.size() && text_[end] == '\n' ? end + 1 : end;
  }

  void comment(size_t inside) {
    const size_t close = text_.find("#}", inside);
    if (close == std::string_view::npos) fail("a comment has no end");
    const bool signed_end = close > inside && (text_[close - 1] == '-' || text_[close - 1] == '+');
    move_to(tag_end(signed_end ? close - 1 : close, "#}", true));
  }

  // The end of a `raw` tag whose inside begins at `at`, or 0.
  size_t raw_begin(size_t at) const {
    at = skip_space(at);
    if (!looking_at("raw", at)) return 0;
    at = skip_space(at + 3);
    if (looking_at("-%}", at)) return skip_space(at + 3);
    return looking_at("%}", at) ? at + 2 : 0;
  }

  void raw_block() {
    for (size_t tag = at_; (tag = text_.find("{%", tag)) != std::string_view::npos; ++tag) {
      size_t inside = tag + 2;
      char sign = 0;
      if (inside < text_.size() && (text_[inside] == '-' || text_[inside] == '+')) sign = text_[inside++];
      inside = skip_space(inside);
      if (!looking_at("endraw", inside)) continue;
      const size_t end = tag_end(skip_space(inside + 6), "%}", true);
      if (end == 0) continue;
      add_text(text_.substr(at_, tag - at_), sign, false);
      move_to(end);
      return;
    }
    fail("a raw block has no end");
  }

  void tag_body(bool print) {
    const std::string_view delimiter = print ? "}}" : "%}";
    std::string open;  // closing brackets expected: within them the delimiter is operators
    while (at_ < text_.size()) {
      if (open.empty()) {
        if (const size_t end = tag_end(at_, delimiter, !print); end != 0) {
          add(print ? TokenKind::kPrintEnd : TokenKind::kBlockEnd);
          move_to(end);
          return;
        }
      }
      token(open);
    }
    // jinja2's lexer ends quietly here; the parser says what was expected.
  }

  void token(std::string& open) {
    const CodePoint point = decode_utf8(text_, at_);
    const char c = text_[at_];
    if (is_space(point.value)) return move_to(skip_space(at_));
    if (is_ascii_digit(c)) return number();
    if (is_word(point.value)) return name();
    if (c == '\'' || c == '"') return string(c);
    for (const std::string_view symbol : kLongOperators) {
      if (!looking_at(symbol, at_)) continue;
      add(TokenKind::kOperator, std::string(symbol));
      return move_to(at_ + 2);
    }
    if (kShortOperators.find(c) == std::string_view::npos) {
      fail(fmt::format("unexpected character '{}'", text_.substr(at_, static_cast<size_t>(point.length))));
    }
    balance(c, open);
    add(TokenKind::kOperator, std::string(1, c));
    move_to(at_ + 1);
  }

  void balance(char c, std::string& open) const {
    if (c == '{') open += '}';
    if (c == '(') open += ')';
    if (c == '[') open += ']';
    if (c != '}' && c != ')' && c != ']') return;
    if (open.empty()) fail(fmt::format("unexpected '{}'", c));
    if (open.back() != c) fail(fmt::format("unexpected '{}', expected '{}'", c, open.back()));
    open.pop_back();
  }

  void number() {
    const bool after_point = at_ > 0 && text_[at_ - 1] == '.';
    const NumberLiteral literal = read_number(text_.substr(at_), !after_point);
    if (literal.too_large) fail("an integer does not fit 64 bits");
    Token& token = add(literal.is_float ? TokenKind::kFloat : TokenKind::kInteger,
                       std::string(text_.substr(at_, literal.length)));
    token.integer = literal.integer;
    token.real = literal.real;
    move_to(at_ + literal.length);
  }

  void name() {
    size_t end = at_;
    while (end < text_.size()) {
      const CodePoint point = decode_utf8(text_, end);
      if (!is_word(point.value) && !is_identifier_part(point.value)) break;
      end += static_cast<size_t>(point.length);
    }
    const std::u32string points = code_points(text_.substr(at_, end - at_));
    if (!is_identifier_start(points[0]) || !std::all_of(points.begin(), points.end(), is_identifier_part)) {
      fail("invalid character in a name");
    }
    add(TokenKind::kName, std::string(text_.substr(at_, end - at_)));
    move_to(end);
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail(fmt::format("a string that begins with {} has no end", quote));
    const std::string_view body = text_.substr(at_ + 1, end - at_ - 1);
    try {
      add(TokenKind::kString, unescape(body));
    } catch (Error& error) {
      throw error.within(fmt::format("line {}", line_));
    }
    move_to(end + 1);
  }

  std::string source_;
  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kText:
      return "template text";
    case TokenKind::kPrintBegin:
      return "{{";
    case TokenKind::kPrintEnd:
      return "}}";
    case TokenKind::kBlockBegin:
      return "{%";
    case TokenKind::kBlockEnd:
      return "%}";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kEnd:
      return "the end of the template";
    default:
      return token.text;
  }
}

}  // namespace martlet::text::jinja

#include "text/oniguruma.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/oniguruma_names.h"
#include "text/unicode.h"

namespace martlet::text {

namespace {

// Oniguruma's \w outside a class: there ² ³ ¹ ¼ ½ ¾ count too.
constexpr std::string_view kWord =
    R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}])";
constexpr std::string_view kAnyCharacter = "(?s:.)";

class Translator {
 public:
  Translator(std::string_view expression, std::string_view where) : in_(expression), where_(where) {}

  std::string run() {
    groups_.push_back(0);
    while (at_ < in_.size()) {
      switch (in_[at_]) {
        case '\\':
          escape();
          break;
        case '[':
          out_ += character_class(0);
          break;
        case '(':
          open_group();
          break;
        case ')':
          close_group();
          break;
        case '{':
          interval();
          break;
        default:
          out_ += in_[at_++];
      }
    }
    out_.append(groups_.back(), ')');
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    bad_input("{}: the regular expression \"{}\" {}", where_, in_, what);
  }
  bool ahead(std::string_view text) const { return in_.substr(at_, text.size()) == text; }

  void open_group();
  void close_group();
  void options();
  void escape();
  void interval();
  std::string property();
  std::string code_point();
  std::string character_class(int depth);
  void class_escape(std::string& members, std::vector<std::string>& others);
  bool posix_bracket(std::string& members, std::vector<std::string>& others);

  std::string_view in_;
  std::string_view where_;
  size_t at_ = 0;
  std::string out_;
  std::vector<size_t> groups_;  // for each open group: options opened in its midst, to be closed with it
};

void Translator::open_group() {
  groups_.push_back(0);
  if (!ahead("(?")) {
    out_ += in_[at_++];
    return;
  }
  if (ahead("(?#")) {
    groups_.pop_back();
    at_ = std::min(in_.find(')', at_), in_.size() - 1) + 1;
    return;
  }
  for (const std::string_view plain : {"(?:", "(?=", "(?!", "(?<", "(?>"}) {
    if (!ahead(plain)) continue;
    out_ += plain;
    at_ += plain.size();
    return;
  }
  options();
}

void Translator::options() {
  const size_t begin = at_;
  at_ += 2;
  std::string letters;
  for (; at_ < in_.size() && in_[at_] != ':' && in_[at_] != ')'; ++at_) {
    switch (in_[at_]) {
      case 'm':
        letters += 's';
        break;  // Ruby's m: the dot matches a newline
      case 'i':
      case 'x':
      case '-':
        letters += in_[at_];
        break;
      default:
        refuse(fmt::format("has a group at offset {} that is not supported", begin));
    }
  }
  if (at_ == in_.size()) refuse("has a group that is not closed");
  out_ += "(?" + letters + ":";
  if (in_[at_++] == ')') {
    // `a(?i)b|c` means `a(?i:b|c)`: a group to the end of the one around it.
    groups_.pop_back();
    ++groups_.back();
  }
}

void Translator::close_group() {
  if (groups_.size() == 1) refuse("has a closing parenthesis without an opening one");
  out_.append(groups_.back() + 1, ')');
  groups_.pop_back();
  ++at_;
}

void Translator::interval() {
  const size_t end = in_.find('}', at_);
  if (end == std::string_view::npos) {
    out_ += "\\{";
    ++at_;
    return;
  }
  std::string_view body = in_.substr(at_ + 1, end - at_ - 1);
  const bool counts = !body.empty() && body != "," && std::all_of(body.begin(), body.end(), [](char c) {
    return (c >= '0' && c <= '9') || c == ',';
  }) && std::count(body.begin(), body.end(), ',') <= 1;
  if (!counts) {
    out_ += "\\{";
    ++at_;
    return;
  }
  out_ += body.front() == ',' ? fmt::format("{{0{}}}", body) : fmt::format("{{{}}}", body);
  at_ = end + 1;
  const bool fixed = body.find(',') == std::string_view::npos;
  if (ahead("+") || (fixed && ahead("?")))
    refuse("repeats an interval, which its author's engine reads as two repetitions; write a group");
}

/// Reads `\p{...}` or `\P{...}` at the cursor; returns the inside of a class, with a leading ^ for the
/// complement.
std::string Translator::property() {
  bool complement = in_[at_ + 1] == 'P';
  at_ += 2;
  const size_t end = in_.find('}', at_);
  if (!ahead("{") || end == std::string_view::npos) refuse("has a \\p without a name in braces");
  std::string_view name = in_.substr(at_ + 1, end - at_ - 1);
  if (!name.empty() && name.front() == '^') {
    complement = !complement;
    name.remove_prefix(1);
  }
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ' ' || c == '-';
  });
  if (!plain) refuse("has a \\p with a broken name");
  at_ = end + 1;
  return (complement ? "^" : "") + property_members(name);
}

/// Reads `\x..`, `\x{..}` or `\u....` at the cursor.
std::string Translator::code_point() {
  const bool braces = in_[at_ + 1] == 'x' && at_ + 2 < in_.size() && in_[at_ + 2] == '{';
  const size_t most = braces ? 8 : in_[at_ + 1] == 'u' ? 4 : 2;
  at_ += braces ? 3 : 2;
  std::string digits;
  while (digits.size() < most && at_ < in_.size() &&
         std::isxdigit(static_cast<unsigned char>(in_[at_])) != 0) {
    digits += in_[at_++];
  }
  if (braces && !ahead("}")) refuse("has a \\x{ without its closing brace");
  if (braces) ++at_;
  if (digits.empty() || (most == 4 && digits.size() != 4)) refuse("has a code point without enough digits");
  const unsigned long value = std::stoul(digits, nullptr, 16);
  if (most == 2 && value >= 0x80) refuse("names a single byte of a longer character");
  if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
    refuse("names a code point that does not exist");
  return fmt::format("\\x{{{:X}}}", value);
}

void Translator::escape() {
  if (at_ + 1 >= in_.size()) refuse("ends with a backslash");
  const char c = in_[at_ + 1];
  switch (c) {
    case 'p':
    case 'P':
      out_ += "[" + property() + "]";
      return;
    case 'x':
    case 'u':
      out_ += code_point();
      return;
    case 'w':
      out_ += kWord;
      break;
    case 'W':
      out_ += fmt::format("(?:(?!{}){})", kWord, kAnyCharacter);
      break;
    case 'b':
      out_ += fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", kWord);
      break;
    case 'B':
      out_ += fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", kWord);
      break;
    case 'h':
      out_ += "[0-9A-Fa-f]";
      break;
    case 'H':
      out_ += "[^0-9A-Fa-f]";
      break;
    case 'v':
      out_ += "\\x{B}";
      break;
    case 'O':
      out_ += kAnyCharacter;
      break;
    case 'G':
    case 'y':
    case 'Y':
    case 'c':
    case 'C':
    case 'M':
      refuse(fmt::format("uses \\{}, which is not supported", c));
    default: {
      // Both read these alike; a backslash before any other letter means the letter.
      const bool known = std::string_view("sSdDnrtfaeARXzZNKkg0123456789").find(c) != std::string_view::npos;
      if (known || std::isalpha(static_cast<unsigned char>(c)) == 0) out_ += '\\';
      const uint32_t length = character_length(c);
      out_ += in_.substr(at_ + 1, length);
      at_ += 1 + length;
      return;
    }
  }
  at_ += 2;
}

void Translator::class_escape(std::string& members, std::vector<std::string>& others) {
  if (at_ + 1 >= in_.size()) refuse("ends within a class");
  const char c = in_[at_ + 1];
  switch (c) {
    case 'p':
    case 'P': {
      const std::string found = property();
      if (found[0] == '^') {
        others.push_back("[" + found + "]");
      } else {
        members += found;
      }
      return;
    }
    case 'x':
    case 'u':
      members += code_point();
      return;
    case 'w':
      members += word_members();
      break;
    case 'W':
      others.push_back(fmt::format("[^{}]", word_members()));
      break;
    case 'h':
      members += "0-9A-Fa-f";
      break;
    case 'H':
      others.emplace_back("[^0-9A-Fa-f]");
      break;
    case 'v':
      members += "\\x{B}";
      break;
    case 'R':
    case 'X':
    case 'c':
    case 'C':
    case 'M':
      refuse(fmt::format("uses \\{} within a class, which is not supported", c));
    default: {
      const bool known = std::string_view("sSdDnrtfaeb01234567").find(c) != std::string_view::npos;
      if (known || std::isalnum(static_cast<unsigned char>(c)) == 0) members += '\\';
      const uint32_t length = character_length(c);
      members += in_.substr(at_ + 1, length);
      at_ += 1 + length;
      return;
    }
  }
  at_ += 2;
}

bool Translator::posix_bracket(std::string& members, std::vector<std::string>& others) {
  const size_t end = in_.find(":]", at_ + 2);
  if (!ahead("[:") || end == std::string_view::npos) return false;
  std::string_view name = in_.substr(at_ + 2, end - at_ - 2);
  const bool complement = !name.empty() && name.front() == '^';
  if (complement) name.remove_prefix(1);
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  if (!plain) return false;
  if (name == "punct" || name == "graph" || name == "print" || name == "ascii") {
    refuse(fmt::format("uses [:{}:], which is not supported", name));
  }
  const std::string found = property_members(name);
  if (found.find("sc:") != std::string::npos) refuse(fmt::format("uses [:{}:], which does not exist", name));
  if (complement) {
    others.push_back("[^" + found + "]");
  } else {
    members += found;
  }
  at_ = end + 2;
  return true;
}

/// Reads the class at the cursor and returns an expression for one character of it. A class that PCRE2 can
/// say is copied; unions with complements become alternatives, intersections look-aheads.
std::string Translator::character_class(int depth) {
  if (depth > 8) refuse("nests classes too deeply");
  const bool complement = ahead("[^");
  at_ += complement ? 2 : 1;
  std::string members;
  std::vector<std::string> others, operands;
  const auto finish_operand = [&] {
    std::string operand = members.empty() ? "" : "[" + members + "]";
    for (const std::string& other : others) operand += (operand.empty() ? "" : "|") + other;
    operands.push_back("(?:" + operand + ")");
    members.clear();
    others.clear();
  };
  bool first = true;
  for (;; first = false) {
    if (at_ >= in_.size()) refuse("has a class that is not closed");
    if (in_[at_] == ']' && !first) break;
    if (ahead("&&")) {
      finish_operand();
      at_ += 2;
    } else if (in_[at_] == '\\') {
      class_escape(members, others);
    } else if (in_[at_] == '[') {
      if (!posix_bracket(members, others)) others.push_back(character_class(depth + 1));
    } else {
      if (in_[at_] == ']') members += '\\';
      members += in_[at_++];
    }
  }
  ++at_;
  if (operands.empty() && others.empty()) return (complement ? "[^" : "[") + members + "]";
  if (!operands.empty()) {
    finish_operand();
    std::string all;
    for (size_t i = 0; i + 1 < operands.size(); ++i) all += "(?=" + operands[i] + ")";
    all += operands.back();
    return complement ? fmt::format("(?:(?!{}){})", all, kAnyCharacter) : fmt::format("(?:{})", all);
  }
  finish_operand();
  return complement ? fmt::format("(?:(?!{}){})", operands.back(), kAnyCharacter) : operands.back();
}

}  // namespace

std::string translate_oniguruma(std::string_view expression, std::string_view where) {
  return Translator(expression, where).run();
}

}  // namespace martlet::text

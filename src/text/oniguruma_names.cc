#include "text/oniguruma_names.h"

#include <array>
#include <cctype>

namespace martlet::text {

namespace {

constexpr std::string_view kMembersOfWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";

struct Name {
  std::string_view from;
  std::string_view to;
};

// Properties and POSIX brackets by their folded names (lower case, without separators), as the inside of a
// class.
constexpr std::array kProperties = {Name{"alnum", R"(\p{Alphabetic}\p{Nd})"},
                                    Name{"alpha", R"(\p{Alphabetic})"},
                                    Name{"alphabetic", R"(\p{Alphabetic})"},
                                    Name{"any", R"(\x{0}-\x{10FFFF})"},
                                    Name{"blank", R"(\p{Zs}\t)"},
                                    Name{"cntrl", R"(\p{Cc})"},
                                    Name{"digit", R"(\p{Nd})"},
                                    Name{"lower", R"(\p{Lowercase})"},
                                    Name{"lowercase", R"(\p{Lowercase})"},
                                    Name{"space", R"(\s)"},
                                    Name{"upper", R"(\p{Uppercase})"},
                                    Name{"uppercase", R"(\p{Uppercase})"},
                                    Name{"whitespace", R"(\s)"},
                                    Name{"word", kMembersOfWord},
                                    Name{"xdigit", "0-9A-Fa-f"},
                                    Name{"lc", R"(\p{L&})"},
                                    Name{"emoji", R"(\p{Emoji})"},
                                    Name{"letter", R"(\p{L})"},
                                    Name{"uppercaseletter", R"(\p{Lu})"},
                                    Name{"lowercaseletter", R"(\p{Ll})"},
                                    Name{"titlecaseletter", R"(\p{Lt})"},
                                    Name{"modifierletter", R"(\p{Lm})"},
                                    Name{"otherletter", R"(\p{Lo})"},
                                    Name{"mark", R"(\p{M})"},
                                    Name{"combiningmark", R"(\p{M})"},
                                    Name{"nonspacingmark", R"(\p{Mn})"},
                                    Name{"spacingmark", R"(\p{Mc})"},
                                    Name{"enclosingmark", R"(\p{Me})"},
                                    Name{"number", R"(\p{N})"},
                                    Name{"decimalnumber", R"(\p{Nd})"},
                                    Name{"letternumber", R"(\p{Nl})"},
                                    Name{"othernumber", R"(\p{No})"},
                                    Name{"punctuation", R"(\p{P})"},
                                    Name{"connectorpunctuation", R"(\p{Pc})"},
                                    Name{"dashpunctuation", R"(\p{Pd})"},
                                    Name{"openpunctuation", R"(\p{Ps})"},
                                    Name{"closepunctuation", R"(\p{Pe})"},
                                    Name{"initialpunctuation", R"(\p{Pi})"},
                                    Name{"finalpunctuation", R"(\p{Pf})"},
                                    Name{"otherpunctuation", R"(\p{Po})"},
                                    Name{"symbol", R"(\p{S})"},
                                    Name{"mathsymbol", R"(\p{Sm})"},
                                    Name{"currencysymbol", R"(\p{Sc})"},
                                    Name{"modifiersymbol", R"(\p{Sk})"},
                                    Name{"othersymbol", R"(\p{So})"},
                                    Name{"separator", R"(\p{Z})"},
                                    Name{"spaceseparator", R"(\p{Zs})"},
                                    Name{"lineseparator", R"(\p{Zl})"},
                                    Name{"paragraphseparator", R"(\p{Zp})"},
                                    Name{"other", R"(\p{C})"},
                                    Name{"control", R"(\p{Cc})"},
                                    Name{"format", R"(\p{Cf})"},
                                    Name{"unassigned", R"(\p{Cn})"},
                                    Name{"privateuse", R"(\p{Co})"},
                                    Name{"surrogate", R"(\p{Cs})"}};

constexpr std::string_view kCategoryNames =
    " l lu ll lt lm lo m mn mc me n nd nl no p pc pd ps pe pi pf po s sm sc sk so z zs zl zp c cc cf cn co "
    "cs ";

std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    out.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  return out;
}

}  // namespace

std::string_view word_members() {
  return kMembersOfWord;
}

std::string property_members(std::string_view name) {
  const std::string key = folded(name);
  for (const Name& property : kProperties) {
    if (property.from == key) return std::string(property.to);
  }
  if (kCategoryNames.find(" " + key + " ") != std::string_view::npos) {
    std::string category = key;
    category[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(category[0])));
    return "\\p{" + category + "}";
  }
  // Oniguruma means the script itself, PCRE2 the script with its extensions unless told.
  return "\\p{sc:" + std::string(name) + "}";
}

}  // namespace martlet::text

#pragma once

// Translation of Oniguruma's expressions (Ruby syntax, UTF-8) to PCRE2's (UTF, UCP, MULTILINE). What both
// read alike is copied. What they read differently is rewritten: \w and \b (Oniguruma counts marks and
// circled letters), \h, \v, \u, scripts, long property names, POSIX brackets, nested classes and
// intersections, `(?m)`, options in mid-group, `{,n}`. What has no exact counterpart is refused.

#include <string>
#include <string_view>

namespace martlet::text {

/// Throws BadInput, with `where` before it, when the expression has a part that cannot be translated.
std::string translate_oniguruma(std::string_view expression, std::string_view where);

}  // namespace martlet::text

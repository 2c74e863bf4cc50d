#pragma once

// Names of character properties as Oniguruma knows them. Internal to oniguruma.cc.

#include <string>
#include <string_view>

namespace martlet::text {

/// The members of a property or POSIX bracket, as the inside of a PCRE2 class. Unknown names are taken for
/// scripts; PCRE2 refuses the rest.
std::string property_members(std::string_view name);
/// The members of \w within a class.
std::string_view word_members();

}  // namespace martlet::text

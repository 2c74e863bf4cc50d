#pragma once

#include <string>
#include <string_view>

namespace martlet {

/// Text as it may stand in HTML, XML and their attributes: & < > ' " become entities, the quotes by number.
std::string escape_html(std::string_view text);

}  // namespace martlet

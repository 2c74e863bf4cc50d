#pragma once

// Text from outside as one line of a table, a picture or a terminal.

#include <string>
#include <string_view>

namespace martlet {

/// Text from outside that may stand in a line: valid UTF-8, one line, control characters replaced by
/// U+FFFD.
std::string one_line(std::string_view text);

/// Columns that the text takes in a terminal; wide characters take two.
int text_columns(std::string_view text);

/// The text where it fits, else its beginning and "…" ("..." without `unicode`), `columns` wide.
std::string fitted(std::string_view text, int columns, bool unicode);

}  // namespace martlet

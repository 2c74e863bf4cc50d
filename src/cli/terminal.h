#pragma once

// What is shown only to people: colours and a progress bar, and only where a terminal is.

#include <memory>
#include <string>
#include <string_view>

#include "base/progress.h"

namespace martlet::cli {

bool stdout_is_terminal();
bool stderr_is_terminal();
bool stdin_is_terminal();
/// Columns of the terminal on standard error; 80 when unknown.
int terminal_width();

/// Standard output is a terminal that shows colours, and NO_COLOR does not refuse them.
bool wants_colours();

/// The locale (LC_ALL, LC_CTYPE, LANG) is one of UTF-8 and the terminal no dumb one.
bool terminal_shows_unicode();

enum class Style { kBold, kDim, kGreen, kCyan, kRed };
/// `text` with the style's codes where `wants_colours`, else unchanged.
std::string styled(Style style, std::string_view text);

/// A bar on standard error when that is a terminal, else silence.
std::unique_ptr<Progress> make_progress();

}  // namespace martlet::cli

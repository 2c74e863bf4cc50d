#pragma once

#include <string_view>

#include "text/aligned_text.h"

namespace martlet::text {

/// `text` with U+FFFD for every maximal part that is not valid UTF-8, aligned with it.
AlignedText repair_utf8(std::string_view text, bool tracked);

}  // namespace martlet::text

#pragma once

// Unicode normal forms with alignment (Unicode Standard Annex 15).

#include <string_view>

#include "text/aligned_text.h"

namespace martlet::text {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// False only when `text` is certainly in the form already: a scan, without allocation.
bool may_change(NormalForm form, std::string_view text);

/// Brings `text` into the form. Combining classes and decompositions are those of Unicode 9, as in the
/// library that published tokenizers were made with.
void normalise(NormalForm form, AlignedText& text);

}  // namespace martlet::text

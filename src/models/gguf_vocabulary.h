#pragma once

#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace martlet::models {

/// The tokenizer's part of a GGUF file's metadata. Its texts live as long as `file` or a copy.
text::GgufVocabulary gguf_vocabulary(const formats::GgufFile& file);
/// Whether there is one.
bool has_vocabulary(const formats::GgufFile& file);

}  // namespace martlet::models

#pragma once

#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "models/open.h"
#include "text/tokenizer.h"

namespace martlet::models {

/// The tokenizer's part of a GGUF file's metadata. Its texts live as long as `file` or a copy.
text::GgufVocabulary gguf_vocabulary(const formats::GgufFile& file);
/// Whether there is one.
bool has_vocabulary(const formats::GgufFile& file);

/// The tokenizer of a model's directory as metadata of a GGUF file; "no_vocab" where it has none. Throws as
/// text/gguf_from_json.h says.
void add_vocabulary(const OpenModel& model, formats::GgufPairs& pairs);

}  // namespace martlet::models

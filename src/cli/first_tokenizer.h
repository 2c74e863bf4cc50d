#pragma once

// The tokenizer and chat format of a first model: what `quickstart train` makes before it trains.

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "data/document.h"

namespace martlet::cli {

/// The words of a document that a tokenizer learns from: its text, or what its messages say.
std::vector<std::string> texts_of(const data::Document& document);

/// Trains a byte-level BPE of at most `vocabulary` tokens on all documents of `words` (files, folders,
/// tinyworld:..) and writes tokenizer.json, tokenizer_config.json, chat_template.jinja and
/// generation_config.json into `folder`. Roles of a conversation are single tokens. Throws BadInput.
void make_first_tokenizer(const std::vector<std::string>& words, int64_t vocabulary,
                          const std::string& folder, Progress& progress);

}  // namespace martlet::cli

#pragma once

// Perplexity and divergence as verbs measure and show them.

#include <string>

#include "base/json.h"
#include "eval/perplexity.h"
#include "infer/language_model.h"

namespace martlet::cli {

/// The ids of a text file ("-": standard input).
std::vector<int32_t> ids_of_text(const infer::LanguageModel& model, const std::string& file);
/// The id that this model's tokenizer puts before every text, if it does.
std::optional<int32_t> beginning_of(const infer::LanguageModel& model);

/// A window of the usual 512 tokens, or the model's whole context where that is shorter.
int64_t usual_window(const infer::LanguageModel& model);

/// As objects for programs.
Json row_of(const eval::Perplexity& result);
Json row_of(const eval::Comparison& result);
/// As lines for people.
std::string lines_of(const eval::Perplexity& result, int64_t context);
std::string lines_of(const eval::Comparison& result, int64_t context);

}  // namespace martlet::cli

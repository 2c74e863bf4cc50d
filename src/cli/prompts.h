#pragma once

#include <string>
#include <vector>

#include "infer/language_model.h"

namespace martlet::cli {

/// The ids of a file's prompts ("-": standard input), one a line: a table with `prompt` (or `text`), `ids`,
/// or `messages` and what else the model's chat template takes. Throws BadInput, naming the line.
std::vector<std::vector<int32_t>> read_prompts(const infer::LanguageModel& model, const std::string& file);

/// The ids of each text, with the special tokens that the tokenizer puts around it.
std::vector<std::vector<int32_t>> encode_prompts(const infer::LanguageModel& model,
                                                 const std::vector<std::string>& texts);

}  // namespace martlet::cli

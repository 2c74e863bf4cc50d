#pragma once

// Generation whose replies are text: pieces as they come, and stop texts.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/language_model.h"

namespace martlet::infer {

struct Reply {
  std::vector<int32_t> ids;  ///< new tokens; those that made a stop text are among them
  std::string text;          ///< without special tokens, and only what comes before a stop text
  Finish finish = Finish::kLength;
  int64_t drafted = 0;  ///< as in Generated
  int64_t accepted = 0;
};

/// Called for every new token with the text that is certain now: often empty, never a part of a character nor
/// of a stop text. Returning false ends that sequence.
using OnText = std::function<bool(size_t sequence, std::string_view piece)>;

/// As `generate`. A reply ends with Finish::kStop before the first of `stop_texts` that it comes to hold. A
/// model without a tokenizer gives empty texts and takes no stop texts (BadInput).
std::vector<Reply> generate_text(const LanguageModel& model, std::span<const std::vector<int32_t>> prompts,
                                 const GenerationOptions& options,
                                 const std::vector<std::string>& stop_texts = {}, const OnText& on_text = {});

/// As `generate_on`. Where it throws, `on_text` has had what was certain until then.
Reply generate_text_on(const LanguageModel& model, ReadContext& context, const std::vector<int32_t>& prompt,
                       const GenerationOptions& options, const std::vector<std::string>& stop_texts = {},
                       const OnText& on_text = {});

}  // namespace martlet::infer

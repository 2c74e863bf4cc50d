#pragma once

// Tinyworld's questions asked of a model: how many it answers right.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "data/tinyworld/question.h"
#include "eval/interval.h"
#include "infer/language_model.h"
#include "text/chat_template.h"

namespace martlet::eval {

/// What a model said to a question.
struct Answered {
  std::string reply;
  bool right = false;
};

struct AskOptions {
  int64_t batch = 64;           ///< questions that run together; the replies do not depend on it
  int64_t max_new_tokens = 96;  ///< a longer reply is cut, and wrong
};

/// Asks each question alone, in the model's own chat format, greedily. One result a question, in order.
/// Throws BadInput for a model without a tokenizer or a chat template; kInterrupted.
std::vector<Answered> ask(const infer::LanguageModel& model, const text::ChatFormat& format,
                          std::span<const data::tinyworld::Question> questions,
                          const AskOptions& options = {}, Progress& progress = no_progress());

/// Right answers of a group.
struct Score {
  std::string name;
  int64_t right = 0;
  int64_t total = 0;

  double share() const { return total == 0 ? 0 : static_cast<double>(right) / static_cast<double>(total); }
  Interval interval() const { return wilson_interval(right, total); }
};

struct TinyworldScore {
  Score all;
  std::vector<Score> skills;     ///< in the order of data::tinyworld::skills(), those that were asked
  std::vector<Score> languages;  ///< "en", "zh", those that were asked
};

/// `questions` and `answers` must be as many.
TinyworldScore score_of(std::span<const data::tinyworld::Question> questions,
                        std::span<const Answered> answers);

}  // namespace martlet::eval

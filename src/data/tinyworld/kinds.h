#pragma once

// The kinds of documents, each a function from draws to one row.

#include <span>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "data/tinyworld/question.h"

namespace martlet::data::tinyworld {

/// What a document is made from, besides its draws.
struct Setting {
  const World& world;
  Split split;
  int64_t long_sentences;  ///< sentences of a long document
};

struct Kind {
  std::string_view name;
  std::string_view what;  ///< for the documentation and the help
  double weight;          ///< share of the documents unless chosen otherwise
  double training;        ///< share in a first model's training; 0: left out
  /// Fills the row's content; `kind` and `language` are there already. Redraws until every question in it, or
  /// its text where it asks none, belongs to the setting's split.
  void (*make)(const Setting& setting, Draws& draws, Language language, Json& row);
};

std::span<const Kind> kinds();

// Each in the file of its subject.
void make_fact(const Setting& setting, Draws& draws, Language language, Json& row);
void make_story(const Setting& setting, Draws& draws, Language language, Json& row);
void make_question(const Setting& setting, Draws& draws, Language language, Json& row);
void make_multi_hop(const Setting& setting, Draws& draws, Language language, Json& row);
void make_arithmetic(const Setting& setting, Draws& draws, Language language, Json& row);
void make_instruction(const Setting& setting, Draws& draws, Language language, Json& row);
void make_dialogue(const Setting& setting, Draws& draws, Language language, Json& row);
void make_preference(const Setting& setting, Draws& draws, Language language, Json& row);
void make_tool_call(const Setting& setting, Draws& draws, Language language, Json& row);
void make_multiple_choice(const Setting& setting, Draws& draws, Language language, Json& row);
void make_topic(const Setting& setting, Draws& draws, Language language, Json& row);
void make_sentiment(const Setting& setting, Draws& draws, Language language, Json& row);
void make_entailment(const Setting& setting, Draws& draws, Language language, Json& row);
void make_long_document(const Setting& setting, Draws& draws, Language language, Json& row);

/// {"role": ..., "content": ...}
Json message(std::string_view role, std::string content);

/// Draws texts with `make` until one belongs to the split. Throws kFailed when a thousand do not.
template <typename Make>
std::string text_in_split(Split split, Make make) {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    std::string text = make();
    if (split_of_content(text) == split) return text;
  }
  failed("no text of this kind belongs to the split {}", name_of(split));
}

}  // namespace martlet::data::tinyworld

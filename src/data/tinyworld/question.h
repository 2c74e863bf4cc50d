#pragma once

// A question with its exact answer, the split that it belongs to, and the skills that draw one.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tinyworld/draws.h"
#include "data/tinyworld/relations.h"
#include "data/tinyworld/world.h"

namespace martlet::data::tinyworld {

enum class Split { kTrain, kValidation, kTest };
inline constexpr std::array kSplits{Split::kTrain, Split::kValidation, Split::kTest};

/// "train", "validation", "test".
std::string_view name_of(Split split);
/// Throws kUsage naming those that there are.
Split split_of_name(std::string_view name);
/// The split of a question's key or a document's text: by a hash that no seed changes, 80 in 100 for
/// training, 10 for validation, 10 for the test.
Split split_of_content(std::string_view content);

struct Question {
  std::string_view skill;
  Language language = Language::kEnglish;
  /// What is asked, whatever the wording and the language: it decides the split.
  std::string key;
  std::string text;                      ///< as a person asks it, with the passage where it needs one
  std::string reasoning;                 ///< sentences that lead to the answer; often empty
  std::string answer;                    ///< the answer as one sentence
  std::string short_answer;              ///< the bare value
  std::vector<std::string> accepted;     ///< further sentences that are right, such as other wordings
  std::string wrong_answer;              ///< as `answer`, but false
  std::vector<std::string> wrong_short;  ///< bare values that are false; at least three, all different

  /// What the assistant says: the reasoning, then the answer.
  std::string reply() const;
};

/// True when `reply` is the question's answer: equal, without regard to case, punctuation and spacing, to the
/// whole reply, the answer with or without its reasoning, the bare value, or another accepted sentence.
bool is_right(const Question& question, std::string_view reply);
/// What `is_right` compares: ASCII letters in lower case, no punctuation, single spaces.
std::string normalised_answer(std::string_view text);

struct Skill {
  std::string_view name;
  std::string_view what;  ///< for the documentation
  double weight;          ///< share of the questions
  Question (*draw)(const World& world, Draws& draws, Language language);
};

std::span<const Skill> skills();

/// A question of any skill whose key belongs to the split.
Question draw_question(const World& world, Draws& draws, Language language, Split split);
/// The same, of one skill; throws kFailed when a thousand draws find none there.
Question draw_question(const World& world, Draws& draws, Language language, Split split, const Skill& skill);

// The skills, each in the file of its subject.
Question draw_recall(const World& world, Draws& draws, Language language);
Question draw_kinship(const World& world, Draws& draws, Language language);
Question draw_two_hops(const World& world, Draws& draws, Language language);
Question draw_comparison(const World& world, Draws& draws, Language language);
Question draw_addition(const World& world, Draws& draws, Language language);
Question draw_chain(const World& world, Draws& draws, Language language);
Question draw_purchase(const World& world, Draws& draws, Language language);
Question draw_time(const World& world, Draws& draws, Language language);
Question draw_reading(const World& world, Draws& draws, Language language);

/// The question for one fact, as `recall` and `kinship` ask it.
Question question_about(const World& world, Draws& draws, const Fact& fact, Language language);
/// Three different numbers near `right` and not it, none below 0, as text.
std::vector<std::string> wrong_numbers(Draws& draws, int64_t right);

}  // namespace martlet::data::tinyworld

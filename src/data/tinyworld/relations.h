#pragma once

// What can be said and asked of one subject: each relation with its wordings in both languages.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/tinyworld/draws.h"
#include "data/tinyworld/world.h"

namespace martlet::data::tinyworld {

/// In patterns {0} is the subject, {1} the value, {2} the word of kinship.
struct Wordings {
  std::array<std::string_view, 4> statements;  ///< the first is the one that answers use
  std::array<std::string_view, 3> questions;
};

struct Relation {
  std::string_view name;
  Category subject;
  Category value;
  Wordings english;
  Wordings chinese;

  const Wordings& in(Language language) const { return language == Language::kEnglish ? english : chinese; }
};

// The relations by number: those of the table, then kinship in the order of Kin.
constexpr int kHasHome = 0, kHasJob = 1, kHasAge = 2, kHasColour = 3, kHasFood = 4, kHasPet = 5,
              kHasBirthday = 6, kHasCountry = 7, kHasMarket = 8, kHasLandmark = 9, kHasOpening = 10,
              kHasPrice = 11, kHasWorkplace = 12, kFirstKin = 13;
constexpr int kRelationCount = kFirstKin + kKinCount;

const Relation& relation(int number);
/// "father", "older brother"; empty for a relation that is no kinship.
std::string_view kin_word(int number, Language language);

/// What is true: `subject` and `value` are numbers within the relation's categories.
struct Fact {
  int relation;
  int64_t subject;
  int64_t value;
};

/// The fact of a relation; nothing where it has no value or more than one (two sons).
std::optional<Fact> fact_of(const World& world, int relation, int64_t subject);

// Which facts to draw: about a person (with kinship or without), a town, a thing, a job.
enum class FactGroup { kPerson, kKin, kTown, kThing, kJob };

/// A fact of the group, uniform over its relations and subjects.
Fact draw_fact(const World& world, Draws& draws, FactGroup group);
/// A fact of any group, people foremost.
Fact draw_fact(const World& world, Draws& draws);
/// Another value of the relation, which makes the fact false. Numbers differ by 1 to 5.
int64_t draw_other_value(const World& world, Draws& draws, const Fact& fact);

/// A sentence. `wording` counts modulo the wordings; 0 is the answer's.
std::string state(const World& world, const Fact& fact, Language language, int64_t wording);
/// The same with another way to name the subject: "Anna's father".
std::string state(const World& world, const Fact& fact, const std::string& subject, Language language,
                  int64_t wording);
std::string ask(const World& world, int relation, const std::string& subject, Language language,
                int64_t wording);

std::string subject_name(const World& world, const Fact& fact, Language language);
std::string value_name(const World& world, const Fact& fact, Language language);
/// "Anna's father", "安娜的爸爸".
std::string relative_name(const World& world, int kin_relation, int64_t person, Language language);
/// Names the relation and the subject alike in every language and wording: "home/3".
std::string fact_key(int relation, int64_t subject);

}  // namespace martlet::data::tinyworld

// Questions whose answers are facts of the world: one fact, two in a row, two side by side.

#include <algorithm>

#include "base/error.h"
#include "data/tinyworld/question.h"

namespace martlet::data::tinyworld {
namespace {

std::vector<std::string> other_values(const World& world, Draws& draws, const Fact& fact, Language language) {
  if (world.count(relation(fact.relation).value) == 0) return wrong_numbers(draws, fact.value);
  std::vector<std::string> found;
  while (found.size() < 3) {
    const Fact false_fact{fact.relation, fact.subject, draw_other_value(world, draws, fact)};
    std::string name = value_name(world, false_fact, language);
    if (std::find(found.begin(), found.end(), name) == found.end()) found.push_back(std::move(name));
  }
  return found;
}

/// The question of a fact whose subject goes by `subject`.
Question about(const World& world, Draws& draws, const Fact& fact, const std::string& subject,
               std::string key, Language language) {
  Question question;
  question.language = language;
  question.key = std::move(key);
  question.text = ask(world, fact.relation, subject, language, draws.below(3));
  question.answer = state(world, fact, subject, language, 0);
  question.short_answer = value_name(world, fact, language);
  for (int wording = 1; wording < 4; ++wording)
    question.accepted.push_back(state(world, fact, subject, language, wording));
  question.wrong_short = other_values(world, draws, fact, language);
  const Fact wrong{fact.relation, fact.subject, draw_other_value(world, draws, fact)};
  question.wrong_answer = state(world, wrong, subject, language, 0);
  return question;
}

/// "Where does Anna's father live?": kinship first, then a fact about that person.
Question draw_relative_fact(const World& world, Draws& draws, Language language) {
  const Fact kin = draw_fact(world, draws, FactGroup::kKin);
  const int asked = static_cast<int>(draws.within(kHasHome, kHasBirthday));
  const Fact fact = *fact_of(world, asked, kin.value);
  Question question =
      about(world, draws, fact, relative_name(world, kin.relation, kin.subject, language),
            "two/" + fact_key(kin.relation, kin.subject) + "/" + fact_key(asked, 0), language);
  question.reasoning = state(world, kin, language, 0);
  // In the last step the relative goes by name.
  question.accepted.push_back(question.answer);
  question.answer = state(world, fact, language, 0);
  const Fact wrong{fact.relation, fact.subject, draw_other_value(world, draws, fact)};
  question.wrong_answer = state(world, wrong, language, 0);
  return question;
}

struct TownPattern {
  int relation;
  Word question;
};

// {0} is a person: what the person's town has.
constexpr TownPattern kTownPatterns[] = {
    {kHasCountry, {"In which country does {0} live?", "{0}住在哪个国家？"}},
    {kHasMarket, {"On which day is the market in {0}'s town?", "{0}住的地方星期几有集市？"}},
    {kHasLandmark, {"What is near {0}'s town?", "{0}住的地方附近有什么？"}},
    {kHasOpening, {"When does the shop in {0}'s town open?", "{0}住的地方商店几点开门？"}},
};

/// "In which country does Anna live?": where she lives, then what is true of that town.
Question draw_town_fact(const World& world, Draws& draws, Language language) {
  const int64_t person = draws.below(world.people());
  const TownPattern& pattern = draws.pick(kTownPatterns);
  const Fact home = *fact_of(world, kHasHome, person);
  const Fact fact = *fact_of(world, pattern.relation, home.value);
  Question question =
      about(world, draws, fact, subject_name(world, fact, language),
            "two/" + fact_key(kHasHome, person) + "/" + fact_key(pattern.relation, 0), language);
  question.text = fill(pattern.question.in(language), {subject_name(world, home, language)});
  question.reasoning = state(world, home, language, 0);
  return question;
}

/// "Where does Anna work?": her job, then where that is done.
Question draw_workplace(const World& world, Draws& draws, Language language) {
  const int64_t person = draws.below(world.people());
  const Fact job = *fact_of(world, kHasJob, person);
  const Fact place = *fact_of(world, kHasWorkplace, job.value);
  Question question = about(world, draws, place, subject_name(world, job, language),
                            "two/" + fact_key(kHasJob, person) + "/workplace", language);
  const bool english = language == Language::kEnglish;
  question.text =
      fill(english ? "Where does {0} work?" : "{0}在哪里工作？", {subject_name(world, job, language)});
  const auto says = [&](const std::string& workplace) {
    return fill(english ? "{0} works in the {1}." : "{0}在{1}工作。",
                {subject_name(world, job, language), workplace});
  };
  question.reasoning = state(world, job, language, 0);
  question.answer = says(question.short_answer);
  question.wrong_answer = says(question.wrong_short.front());
  return question;
}

struct Compared {
  int relation;
  Word greater_question;
  Word lesser_question;
  Word greater;
  Word lesser;
};

// {0} and {1} are the two in the order of the question; in answers {0} is the one asked for.
constexpr Compared kCompared[] = {
    {kHasAge,
     {"Who is older, {0} or {1}?", "{0}和{1}，谁的年龄大？"},
     {"Who is younger, {0} or {1}?", "{0}和{1}，谁的年龄小？"},
     {"{0} is older.", "{0}的年龄大。"},
     {"{0} is younger.", "{0}的年龄小。"}},
    {kHasPrice,
     {"Which costs more, a {0} or a {1}?", "{0}和{1}，哪个贵？"},
     {"Which costs less, a {0} or a {1}?", "{0}和{1}，哪个便宜？"},
     {"The {0} costs more.", "{0}贵。"},
     {"The {0} costs less.", "{0}便宜。"}},
};

}  // namespace

Question question_about(const World& world, Draws& draws, const Fact& fact, Language language) {
  return about(world, draws, fact, subject_name(world, fact, language), fact_key(fact.relation, fact.subject),
               language);
}

Question draw_recall(const World& world, Draws& draws, Language language) {
  constexpr double kShares[] = {0.66, 0, 0.16, 0.12, 0.06};  // in the order of FactGroup
  return question_about(world, draws,
                        draw_fact(world, draws, static_cast<FactGroup>(draws.weighted(kShares))), language);
}

Question draw_kinship(const World& world, Draws& draws, Language language) {
  return question_about(world, draws, draw_fact(world, draws, FactGroup::kKin), language);
}

Question draw_two_hops(const World& world, Draws& draws, Language language) {
  constexpr double kShares[] = {0.4, 0.4, 0.2};
  switch (draws.weighted(kShares)) {
    case 0:
      return draw_relative_fact(world, draws, language);
    case 1:
      return draw_town_fact(world, draws, language);
    default:
      return draw_workplace(world, draws, language);
  }
}

Question draw_comparison(const World& world, Draws& draws, Language language) {
  const Compared& compared = kCompared[draws.one_in(3) ? 1 : 0];
  const int64_t count = world.count(relation(compared.relation).subject);
  Fact first, second;
  do {
    first = *fact_of(world, compared.relation, draws.below(count));
    second = *fact_of(world, compared.relation, draws.below(count));
  } while (first.value == second.value);
  const bool greater = draws.one_in(2);
  const bool first_wins = (first.value > second.value) == greater;
  const std::string one = subject_name(world, first, language), two = subject_name(world, second, language);
  Question question;
  question.language = language;
  // The same two in either order, asked either way, are one question.
  question.key =
      fmt::format("compare/{}/{}/{}", relation(compared.relation).name,
                  std::min(first.subject, second.subject), std::max(first.subject, second.subject));
  question.text =
      fill((greater ? compared.greater_question : compared.lesser_question).in(language), {one, two});
  const std::string steps[] = {state(world, first, language, 0), state(world, second, language, 0)};
  question.reasoning = join_sentences(steps, language);
  const auto says = [&](const std::string& who) {
    return fill((greater ? compared.greater : compared.lesser).in(language), {who});
  };
  question.short_answer = first_wins ? one : two;
  question.answer = says(question.short_answer);
  question.wrong_short.push_back(first_wins ? two : one);
  question.wrong_answer = says(question.wrong_short.front());
  // A choice needs three: others of the same kind, who were not asked about.
  while (question.wrong_short.size() < 3) {
    const std::string other = world.name(relation(compared.relation).subject, draws.below(count), language);
    if (other != one && other != two &&
        std::find(question.wrong_short.begin(), question.wrong_short.end(), other) ==
            question.wrong_short.end())
      question.wrong_short.push_back(other);
  }
  return question;
}

}  // namespace martlet::data::tinyworld

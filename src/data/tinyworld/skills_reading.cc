// Questions about a passage of invented happenings: who put or has what, where. The world does not know them,
// so only reading helps.

#include <algorithm>
#include <array>

#include "base/error.h"
#include "data/tinyworld/question.h"

namespace martlet::data::tinyworld {
namespace {

struct Happening {
  Word passage;   // {0} a person, {1} the thing, {2} a room, {3} another person
  Word question;  // about the thing
  Word answer;    // {4} the value
  bool asks_for_room;
};

constexpr Happening kHappenings[] = {
    {{"{0} put the {1} in the {2}.", "{0}把{1}放在{2}里。"},
     {"Where is the {1}?", "{1}在哪里？"},
     {"The {1} is in the {4}.", "{1}在{4}里。"},
     true},
    {{"{0} took the {1} to the {2}.", "{0}把{1}拿到了{2}里。"},
     {"Where is the {1}?", "{1}在哪里？"},
     {"The {1} is in the {4}.", "{1}在{4}里。"},
     true},
    {{"{0} gave the {1} to {3}.", "{0}把{1}给了{3}。"},
     {"Who has the {1}?", "{1}在谁那里？"},
     {"{4} has the {1}.", "{1}在{4}那里。"},
     false},
};

template <size_t kCount>
std::array<int64_t, kCount> distinct(Draws& draws, int64_t bound) {
  std::array<int64_t, kCount> found;
  for (size_t i = 0; i < kCount;) {
    found[i] = draws.below(bound);
    if (std::find(found.begin(), found.begin() + static_cast<int64_t>(i), found[i]) ==
        found.begin() + static_cast<int64_t>(i))
      ++i;
  }
  return found;
}

}  // namespace

Question draw_reading(const World& world, Draws& draws, Language language) {
  const size_t sentences = static_cast<size_t>(draws.within(1, 3));
  const auto things_ = distinct<3>(draws, world.count(Category::kThing));
  const auto rooms_ = distinct<6>(draws, world.count(Category::kRoom));
  const auto people = distinct<6>(draws, world.people());
  const size_t asked = static_cast<size_t>(draws.below(static_cast<int64_t>(sentences)));
  Question question;
  question.language = language;
  std::vector<std::string> passage;
  question.key = fmt::format("reading/{}", asked);
  for (size_t i = 0; i < sentences; ++i) {
    const int64_t kind = draws.below(static_cast<int64_t>(std::size(kHappenings)));
    const Happening& happening = kHappenings[kind];
    // Both ways to say that a thing came into a room are one happening.
    question.key += fmt::format("/{} {} {}", happening.asks_for_room ? "room" : "person", things_[i],
                                happening.asks_for_room ? rooms_[i] : people[i + 3]);
    std::vector<std::string> words{world.name(Category::kPerson, people[i], language),
                                   world.name(Category::kThing, things_[i], language),
                                   world.name(Category::kRoom, rooms_[i], language),
                                   world.name(Category::kPerson, people[i + 3], language)};
    passage.push_back(fill(happening.passage.in(language), words));
    if (i != asked) continue;
    const Category category = happening.asks_for_room ? Category::kRoom : Category::kPerson;
    const auto says = [&](const std::string& value) {
      std::vector<std::string> with_value = words;
      with_value.push_back(value);
      return fill(happening.answer.in(language), with_value);
    };
    question.text = fill(happening.question.in(language), words);
    question.short_answer = happening.asks_for_room ? words[2] : words[3];
    question.answer = says(question.short_answer);
    for (const size_t other : {(i + 1) % 3, (i + 2) % 3})
      question.wrong_short.push_back(
          world.name(category, happening.asks_for_room ? rooms_[other] : people[other], language));
    question.wrong_short.push_back(
        world.name(category, happening.asks_for_room ? rooms_[3] : people[i], language));
    question.wrong_answer = says(question.wrong_short.front());
  }
  passage.push_back(question.text);
  question.text = join_sentences(passage, language);
  return question;
}

}  // namespace martlet::data::tinyworld

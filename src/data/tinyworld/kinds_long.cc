// A diary of many days and questions about single ones: what must be found in a long text.

#include <algorithm>

#include "data/tinyworld/kinds.h"

namespace martlet::data::tinyworld {
namespace {

struct Deed {
  Word sentence;  // {0} the day's number, {1} the person, {2} the value
  Word question;
  Category value;
};

constexpr Deed kDeeds[] = {
    {{"On day {0} {1} went to {2}.", "第{0}天，{1}去了{2}。"},
     {"Where did {1} go on day {0}?", "第{0}天{1}去了哪里？"},
     Category::kTown},
    {{"On day {0} {1} bought a {2}.", "第{0}天，{1}买了{2}。"},
     {"What did {1} buy on day {0}?", "第{0}天{1}买了什么？"},
     Category::kThing},
    {{"On day {0} {1} ate {2}.", "第{0}天，{1}吃了{2}。"},
     {"What did {1} eat on day {0}?", "第{0}天{1}吃了什么？"},
     Category::kFood},
    {{"On day {0} {1} saw a {2}.", "第{0}天，{1}看见了{2}。"},
     {"Which animal did {1} see on day {0}?", "第{0}天{1}看见了什么动物？"},
     Category::kAnimal},
    {{"On day {0} {1} cleaned the {2}.", "第{0}天，{1}打扫了{2}。"},
     {"Which room did {1} clean on day {0}?", "第{0}天{1}打扫了什么？"},
     Category::kRoom},
};

struct Day {
  std::string sentence;
  std::string question;
};

constexpr int64_t kQuestions = 3;

}  // namespace

void make_long_document(const Setting& setting, Draws& draws, Language language, Json& row) {
  const World& world = setting.world;
  std::vector<Day> days(static_cast<size_t>(setting.long_sentences));
  const std::string diary = text_in_split(setting.split, [&] {
    std::vector<std::string> sentences;
    for (size_t day = 0; day < days.size(); ++day) {
      const Deed& deed = draws.pick(kDeeds);
      const std::string words[] = {std::to_string(day + 1),
                                   world.name(Category::kPerson, draws.below(world.people()), language),
                                   world.name(deed.value, draws.below(world.count(deed.value)), language)};
      days[day] = {fill(deed.sentence.in(language), words), fill(deed.question.in(language), words)};
      sentences.push_back(days[day].sentence);
    }
    return join_sentences(sentences, language);
  });
  Json messages{Json::Array{}};
  for (int64_t asked = 0; asked < std::min(kQuestions, setting.long_sentences); ++asked) {
    const Day& day = draws.pick(days);
    messages.push_back(message("user", asked == 0 ? diary + "\n" + day.question : day.question));
    messages.push_back(message("assistant", day.sentence));
  }
  row.set("messages", std::move(messages));
}

}  // namespace martlet::data::tinyworld

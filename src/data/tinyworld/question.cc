#include "data/tinyworld/question.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"

namespace martlet::data::tinyworld {
namespace {

constexpr Skill kSkills[] = {
    {"recall", "one fact about a person, a town, a thing or a job", 0.28, draw_recall},
    {"kinship", "who somebody's relative is", 0.12, draw_kinship},
    {"two_hops", "two facts, one leading to the other", 0.14, draw_two_hops},
    {"comparison", "which of two is older or costs more", 0.10, draw_comparison},
    {"addition", "adding and taking away small numbers, in a story or bare", 0.10, draw_addition},
    {"chain", "two steps of arithmetic", 0.04, draw_chain},
    {"purchase", "what several things cost", 0.08, draw_purchase},
    {"time", "days and hours from now", 0.08, draw_time},
    {"reading", "what a passage says that is true nowhere else", 0.06, draw_reading},
};

// The rarest split holds one question in ten: a thousand draws that miss it mean that the skill has none
// there.
constexpr int kAttempts = 1000;

uint64_t mixed(uint64_t value) {
  // The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): FNV alone leaves its low bits weak.
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

bool is_punctuation(char32_t point) {
  constexpr std::u32string_view kChinese = U"。，？！：；、·“”‘’（）《》";
  const bool ascii = point < 0x80 && !(point >= '0' && point <= '9') && !(point >= 'a' && point <= 'z') &&
                     !(point >= 'A' && point <= 'Z') && point > ' ' && point != '+' && point != '-' &&
                     point != '=';
  return ascii || kChinese.find(point) != std::u32string_view::npos;
}

}  // namespace

std::string_view name_of(Split split) {
  constexpr std::string_view kNames[] = {"train", "validation", "test"};
  return kNames[static_cast<size_t>(split)];
}

Split split_of_name(std::string_view name) {
  for (const Split split : kSplits)
    if (name_of(split) == name) return split;
  fail(ErrorCode::kUsage, "a split is train, validation or test, not '{}'", name);
}

Split split_of_content(std::string_view content) {
  const uint64_t part = mixed(stream_of(content)) % 100;
  return part < 80 ? Split::kTrain : part < 90 ? Split::kValidation : Split::kTest;
}

std::string Question::reply() const {
  const std::string sentences[] = {reasoning, answer};
  return join_sentences(sentences, language);
}

std::string normalised_answer(std::string_view text) {
  std::string out;
  bool space = false;
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = decode_utf8(text, i);
    i += static_cast<size_t>(point.length);
    if (point.value <= ' ' || is_punctuation(point.value)) {
      // An apostrophe within a word and a mark between Chinese characters part nothing; a space does.
      space = space || point.value <= ' ';
      continue;
    }
    if (space && !out.empty()) out += ' ';
    space = false;
    append_utf8(out, point.value >= 'A' && point.value <= 'Z' ? point.value - 'A' + 'a' : point.value);
  }
  return out;
}

bool is_right(const Question& question, std::string_view reply) {
  const std::string given = normalised_answer(reply);
  const auto equals = [&](std::string_view text) { return normalised_answer(text) == given; };
  return equals(question.reply()) || equals(question.answer) || equals(question.short_answer) ||
         std::any_of(question.accepted.begin(), question.accepted.end(), equals);
}

std::span<const Skill> skills() {
  return kSkills;
}

Question draw_question(const World& world, Draws& draws, Language language, Split split) {
  std::array<double, std::size(kSkills)> weights{};
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = kSkills[i].weight;
  return draw_question(world, draws, language, split, kSkills[draws.weighted(weights)]);
}

Question draw_question(const World& world, Draws& draws, Language language, Split split, const Skill& skill) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Question question = skill.draw(world, draws, language);
    if (split_of_content(question.key) != split) continue;
    question.skill = skill.name;
    question.language = language;
    return question;
  }
  failed("no question of the skill {} belongs to the split {} in a world of {} people; make the world larger",
         skill.name, name_of(split), world.people());
}

std::vector<std::string> wrong_numbers(Draws& draws, int64_t right) {
  std::vector<int64_t> near;
  for (int64_t other = std::max<int64_t>(0, right - 4); near.size() < 8; ++other)
    if (other != right) near.push_back(other);
  draws.shuffle(near);
  return {std::to_string(near[0]), std::to_string(near[1]), std::to_string(near[2])};
}

}  // namespace martlet::data::tinyworld

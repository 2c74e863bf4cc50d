#include "data/tinyworld/tinyworld.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <set>

#include "base/error.h"
#include "base/human.h"
#include "base/thread_pool.h"
#include "data/tinyworld/kinds.h"

namespace martlet::data {

using namespace tinyworld;

namespace {

// Ten documents are some hundred microseconds: far more than it costs to hand them to a thread.
constexpr int64_t kDocumentsPerPiece = 16;
constexpr int64_t kLongestDocument = 100'000;  // sentences; a few draws each must stay below 2^20

std::vector<double> weights_of(const std::vector<std::pair<std::string, double>>& chosen) {
  std::vector<double> weights(kinds().size(), 0);
  std::vector<std::string> known;
  for (size_t i = 0; i < kinds().size(); ++i) {
    known.emplace_back(kinds()[i].name);
    if (chosen.empty()) weights[i] = kinds()[i].weight;
  }
  for (const auto& [name, weight] : chosen) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) {
      const std::optional<std::string> nearest = nearest_name(name, known);
      fail(ErrorCode::kUsage, "tinyworld has no kind '{}'{}; it has {}", name,
           nearest ? fmt::format(" (did you mean {}?)", *nearest) : "", fmt::join(known, ", "));
    }
    if (!(weight >= 0 && weight <= 1e9))
      fail(ErrorCode::kUsage, "the weight of the kind {} must be from 0 to 1e9, not {}", name, weight);
    weights[static_cast<size_t>(found - known.begin())] += weight;
  }
  if (*std::max_element(weights.begin(), weights.end()) <= 0)
    fail(ErrorCode::kUsage, "every kind of tinyworld has weight 0; give one of them more");
  return weights;
}

}  // namespace

Tinyworld::Tinyworld(TinyworldOptions options)
    : options_(std::move(options)),
      world_(options_.world_seed == 0 ? options_.seed : options_.world_seed, options_.people),
      weights_(weights_of(options_.kinds)) {
  for (const std::string& code : options_.languages) languages_.push_back(language_of(code));
  if (languages_.empty()) fail(ErrorCode::kUsage, "tinyworld needs a language: en or zh");
  if (options_.long_sentences < 1 || options_.long_sentences > kLongestDocument)
    fail(ErrorCode::kUsage, "a long document has 1 to {} sentences, not {}", kLongestDocument,
         options_.long_sentences);
}

Json Tinyworld::document(uint64_t index) const {
  const std::string split(name_of(options_.split));
  Draws choice(options_.seed, "tinyworld/choice/" + split, index);
  const Kind& kind = kinds()[choice.weighted(weights_)];
  const Language language = choice.pick(languages_);
  Draws draws(options_.seed, fmt::format("tinyworld/{}/{}", kind.name, split), index);
  Json row;
  row.set("kind", kind.name);
  row.set("language", code_of(language));
  kind.make({world_, options_.split, options_.long_sentences}, draws, language, row);
  return row;
}

std::string Tinyworld::lines(uint64_t first, uint64_t count) const {
  const auto pieces = static_cast<int64_t>((count + kDocumentsPerPiece - 1) / kDocumentsPerPiece);
  std::vector<std::string> made(static_cast<size_t>(pieces));
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const uint64_t from = static_cast<uint64_t>(piece * kDocumentsPerPiece);
      const uint64_t to = std::min(count, from + kDocumentsPerPiece);
      for (uint64_t i = from; i < to; ++i)
        made[static_cast<size_t>(piece)] += document(first + i).dump() + "\n";
    }
  });
  std::string text;
  for (const std::string& piece : made) text += piece;
  return text;
}

std::vector<Question> Tinyworld::questions(int64_t count) const {
  std::vector<Question> found;
  std::set<std::string> asked;
  const std::string stream = fmt::format("tinyworld/questions/{}", name_of(options_.split));
  // Repeated ones are passed over; a hundred draws for each wanted mean that the world has no more.
  for (uint64_t index = 0; static_cast<int64_t>(found.size()) < count; ++index) {
    if (index > 100 * (static_cast<uint64_t>(count) + 10))
      failed("a tinyworld of {} people has only {} different questions in the split {}, not {}",
             world_.people(), found.size(), name_of(options_.split), count);
    Draws draws(options_.seed, stream, index);
    const Language language = draws.pick(languages_);
    Question question = draw_question(world_, draws, language, options_.split);
    if (asked.insert(fmt::format("{} {}", code_of(language), question.key)).second)
      found.push_back(std::move(question));
  }
  return found;
}

std::vector<std::pair<std::string, double>> tinyworld_kinds_of(std::span<const std::string> words) {
  std::vector<std::pair<std::string, double>> chosen;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    double weight = 1;
    if (equals == std::string::npos) {
      for (const Kind& kind : kinds())
        if (kind.name == name) weight = kind.weight;
    } else {
      char* end = nullptr;
      weight = std::strtod(word.c_str() + equals + 1, &end);
      if (*end != '\0' || end == word.c_str() + equals + 1)
        fail(ErrorCode::kUsage, "the weight of a kind must be a number: '{}'", word);
    }
    chosen.emplace_back(name, weight);
  }
  return chosen;
}

std::vector<std::pair<std::string, double>> tinyworld_training_kinds() {
  std::vector<std::pair<std::string, double>> chosen;
  for (const Kind& kind : kinds())
    if (kind.training > 0) chosen.emplace_back(kind.name, kind.training);
  return chosen;
}

}  // namespace martlet::data

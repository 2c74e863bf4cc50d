#include "infer/ngram_drafter.h"

#include <algorithm>

namespace martlet::infer {
namespace {

// Runs are compared no further: longer ones guess alike.
constexpr size_t kMostCompared = 32;
// The longest run of each class but the last.
constexpr size_t kClassEnds[] = {1, 2, 3, 4, 5, 7, 11, 15, 23};
// How often guesses hold before any was scored, as they did in 14 replies of SmolLM2 and Gemma 3 270M, and
// what is added when the run's last guess held, or did not.
constexpr double kFirstHolds[] = {0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95};
constexpr double kIfRight = 0.05, kIfWrong = -0.25;
// Behind a copy's first different token, and behind more of them.
constexpr double kFirstCopied = 0.5, kLaterCopied = 0.3;
// The first opinion counts as so many guesses, and the newest guess for no less than that.
constexpr int64_t kFirstCount = 4;
constexpr double kLeastNew = 0.08;
// A run of so many tokens makes a copy.
constexpr size_t kCopyRun = 3;

size_t class_of(size_t length) {
  return static_cast<size_t>(std::lower_bound(std::begin(kClassEnds), std::end(kClassEnds), length) -
                             std::begin(kClassEnds));
}

}  // namespace

auto NgramDrafter::first_scores() -> std::array<std::array<Score, kLasts>, kLengths> {
  std::array<std::array<Score, kLasts>, kLengths> scores;
  for (size_t i = 0; i < kLengths; ++i)
    for (const Last last : {Last::kUnknown, Last::kRight, Last::kWrong}) {
      const double more = last == Last::kUnknown ? 0 : last == Last::kRight ? kIfRight : kIfWrong;
      scores[i][static_cast<size_t>(last)].holds = std::min(kFirstHolds[i] + more, 0.98);
    }
  return scores;
}

auto NgramDrafter::first_copied() -> std::array<Score, kMostMisses + 1> {
  std::array<Score, kMostMisses + 1> scores;
  for (size_t misses = 0; misses < scores.size(); ++misses)
    scores[misses].holds = misses < 2 ? kFirstCopied : kLaterCopied;
  return scores;
}

void NgramDrafter::Score::add(bool held) {
  ++count;
  const double weight = std::max(kLeastNew, 1 / static_cast<double>(count + kFirstCount));
  holds += weight * ((held ? 1.0 : 0.0) - holds);
}

NgramDrafter::Score& NgramDrafter::score_of(const Match& match) {
  return matched_[class_of(match.length)][static_cast<size_t>(match.last)];
}

/// Of the last 1, 2, .. tokens.
auto NgramDrafter::hashes(std::span<const int32_t> text) -> std::array<uint64_t, kLongest> {
  std::array<uint64_t, kLongest> result{};
  uint64_t hash = 1469598103934665603u;  // FNV-1a over tokens
  for (size_t n = 0; n < std::min(kLongest, text.size()); ++n)
    result[n] = hash = (hash ^ static_cast<uint32_t>(text[text.size() - 1 - n])) * 1099511628211u;
  return result;
}

NgramDrafter::Match NgramDrafter::find() const {
  const auto hash = hashes(text_);
  const size_t end = text_.size();
  for (size_t n = std::min(kLongest, end); n > 0; --n) {
    const auto found = seen_[n].find(hash[n - 1]);
    if (found == seen_[n].end()) continue;
    const Seen& seen = found->second;
    size_t length = 0;
    while (length < std::min(kMostCompared, seen.at) &&
           text_[seen.at - 1 - length] == text_[end - 1 - length])
      ++length;
    if (length >= n) return {seen.at, length, seen.last};  // two runs may share a hash
  }
  return {};
}

void NgramDrafter::follow(const Match& match, int32_t id) {
  const bool held = match.length > 0 && text_[match.at] == id;
  if (match.length >= kCopyRun && (held || copy_.at == 0)) {
    copy_ = {match.at + 1, 0};
  } else if (copy_.at > 0) {
    copy_.misses = text_[copy_.at] == id ? 0 : copy_.misses + 1;
    ++copy_.at;
    if (copy_.misses > kMostMisses) copy_ = {};
  }
}

/// What follows each run of last tokens.
void NgramDrafter::remember(int32_t id) {
  const auto hash = hashes(text_);
  for (size_t n = 1; n <= std::min(kLongest, text_.size()); ++n) {
    const auto [at, is_new] = seen_[n].try_emplace(hash[n - 1], Seen{text_.size(), Last::kUnknown});
    if (!is_new) at->second = {text_.size(), text_[at->second.at] == id ? Last::kRight : Last::kWrong};
  }
}

void NgramDrafter::learn(std::span<const int32_t> ids) {
  while (text_.size() < ids.size()) {
    const int32_t id = ids[text_.size()];
    const Match match = find();
    if (match.length > 0) score_of(match).add(text_[match.at] == id);
    if (copy_.at > 0 && copy_.at != match.at) score_of(copy_).add(text_[copy_.at] == id);
    follow(match, id);
    remember(id);
    text_.push_back(id);
  }
}

Draft NgramDrafter::draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache&) {
  learn(ids);
  const Copy before = copy_;
  Draft draft;
  // A guess is text for the next one: what repeats goes on repeating.
  while (static_cast<int64_t>(draft.ids.size()) < most) {
    const Match match = find();
    size_t from = match.at;
    double chance = match.length > 0 ? score_of(match).holds : 0;
    if (copy_.at > 0 && copy_.at != match.at && score_of(copy_).holds > chance) {
      from = copy_.at;
      chance = score_of(copy_).holds;
    }
    if (chance == 0) break;
    const int32_t id = text_[from];
    follow(match, id);
    draft.ids.push_back(id);
    draft.chances.push_back(chance);
    text_.push_back(id);
  }
  copy_ = before;
  text_.resize(ids.size());
  return draft;
}

}  // namespace martlet::infer

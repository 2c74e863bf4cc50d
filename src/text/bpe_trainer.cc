// Merging all words at once.
//
// Problem: tens of thousands of merges, each of which must touch every place of its pair in millions of
// words, and change the counts of the pairs around.
//
// Idea: symbols merge in place (symbol_lines.h); each pair that was counted has a list of the places where it
// began when it was counted, ascending. A heap holds the lists by count. Counts of pairs fall when neighbours
// merge away, so the top of the heap is compared with the present count and put back when that has fallen;
// places of a list that hold another pair by now are passed over. All pairs that a merge makes hold its new
// token, so that they are counted in two arrays by neighbour, not in a hash table; one look-up a neighbour,
// not a place, updates the old pairs. Cost: a few steps a merged place, of which there are fewer than
// symbols; the places of all lists together are at most three a symbol.
//
// Example: "abab" twice. (a, b) has places 0 and 2 and the count 4. It merges to X: left of place 2 stands X
// by then, so (X, X) gets place 0 and the count 2, (b, a) loses 2.
//
// A rare case needs care. Two pairs may make the same token ("--" "-" and "-" "--"). Then a pair with that
// token may be counted again after it was counted and merged. As in the `tokenizers` library, its old count
// stays and the new one is added, each list merges by itself, and a list stands for the whole words of its
// places.

#include "text/bpe_trainer.h"

#include <algorithm>
#include <queue>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "text/bpe_alphabet.h"
#include "text/symbol_lines.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace martlet::text {

namespace {

uint64_t key_of(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

/// Counts of pairs: an open-addressing table that grows.
class PairCounts {
 public:
  /// The count of the pair, 0 when it is new. Valid until the next call.
  int64_t& at(uint64_t key) {
    if ((used_ + 1) * 3 > slots_.size() * 2) grow();
    Slot& slot = slots_[place(key)];
    if (slot.key == kFree) {
      slot.key = key;
      ++used_;
    }
    return slot.count;
  }

 private:
  static constexpr uint64_t kFree = UINT64_MAX;
  struct Slot {
    uint64_t key = kFree;
    int64_t count = 0;
  };
  size_t place(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    const uint64_t hash = key * 0x9E3779B97F4A7C15ULL;
    size_t at = (hash ^ hash >> 29) >> 20 & mask;
    while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask;
    return at;
  }
  void grow() {
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(std::max<size_t>(1024, old.size() * 2), {});
    for (const Slot& slot : old) {
      if (slot.key != kFree) slots_[place(slot.key)] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

/// Where a pair began when it was counted: [begin, begin + length) of all places.
struct PlaceList {
  uint64_t begin = 0;
  uint32_t length = 0;
};

/// A list that waits for its merge.
struct Waiting {
  int64_t count;
  uint64_t key;
  PlaceList list;
  // The one with the greatest count comes first, then the lowest pair, then the oldest list.
  bool operator<(const Waiting& other) const {
    if (count != other.count) return count < other.count;
    if (key != other.key) return key > other.key;
    return list.begin > other.list.begin;
  }
};

/// The places of the pairs of one token with each of its neighbours on one side, and how often they count.
class Neighbours {
 public:
  void add(int32_t token, int64_t count, uint32_t place) {
    const auto index = static_cast<size_t>(token);
    if (index >= totals_.size()) totals_.resize(index + 1);
    Total& total = totals_[index];
    if (total.places == 0) tokens_.push_back(token);
    total.count += count;
    ++total.places;
    places_.push_back({token, place});
  }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  int64_t count(int32_t token) const { return totals_[static_cast<size_t>(token)].count; }
  /// Moves the places to the end of `all`, neighbour by neighbour; `list(token)` is told each one's part.
  /// Begins anew after that.
  template <typename List>
  void finish(std::vector<uint32_t>& all, List&& list) {
    uint64_t begin = all.size();
    all.resize(all.size() + places_.size());
    for (const int32_t token : tokens_) {
      Total& total = totals_[static_cast<size_t>(token)];
      total.next = begin;
      begin += total.places;
    }
    for (const auto& [token, place] : places_) all[totals_[static_cast<size_t>(token)].next++] = place;
    for (const int32_t token : tokens_) {
      Total& total = totals_[static_cast<size_t>(token)];
      list(token, PlaceList{total.next - total.places, total.places});
      total = {};
    }
    tokens_.clear();
    places_.clear();
  }

 private:
  struct Total {
    int64_t count = 0;
    uint64_t next = 0;
    uint32_t places = 0;
  };
  std::vector<Total> totals_;  // by token
  std::vector<int32_t> tokens_;
  std::vector<std::pair<int32_t, uint32_t>> places_;
};

class BpeTrainer {
 public:
  BpeTrainer(const WordCounts& words, const BpeTrainerOptions& options);
  TrainedMerges run(Progress& progress);

 private:
  void lay_out_words(const BpeAlphabet& alphabet);
  void count_pairs();
  int32_t add_token(int32_t left, int32_t right);
  void merge(const Waiting& top, int32_t made);
  void merge_at(uint32_t place, int32_t left, int32_t right, int32_t made);
  void count_new_pairs(int32_t left, int32_t right, int32_t made);
  void widen_to_words(std::vector<uint32_t>& places, int32_t left, int32_t right) const;
  bool allowed(int32_t left, int32_t right) const {
    return !options_.longest_token ||
           lengths_[static_cast<size_t>(left)] + lengths_[static_cast<size_t>(right)] <
               *options_.longest_token;
  }

  const WordCounts& words_;
  const BpeTrainerOptions& options_;
  Vocabulary tokens_;
  std::vector<int64_t> lengths_;  // of tokens, in characters
  std::vector<bool> remade_;      // tokens that several pairs make
  SymbolLines lines_;
  PairCounts counts_;
  std::vector<uint32_t> places_;  // of all lists
  std::priority_queue<Waiting> queue_;
  Neighbours before_, after_;  // of the token being made
  std::vector<uint32_t> now_;  // places of the merge under way
};

BpeTrainer::BpeTrainer(const WordCounts& words, const BpeTrainerOptions& options)
    : words_(words), options_(options) {
  const BpeAlphabet alphabet(words, options);
  tokens_ = alphabet.tokens();
  for (int64_t id = 0; id < tokens_.size(); ++id) lengths_.push_back(count_characters(tokens_.token(id)));
  remade_.resize(lengths_.size(), false);
  lay_out_words(alphabet);
  count_pairs();
}

void BpeTrainer::lay_out_words(const BpeAlphabet& alphabet) {
  uint64_t symbols = 0;
  for (size_t i = 0; i < words_.size(); ++i)
    alphabet.for_each_symbol(words_.word(i), [&](int32_t) { ++symbols; });
  if (symbols + words_.size() + 1 >= UINT32_MAX) {
    fail(ErrorCode::kExhausted,
         "the distinct words of the text have {} characters, more than training can take (about {}); give "
         "less text "
         "or cut it into shorter words",
         symbols, UINT32_MAX);
  }
  lines_.reserve(symbols, words_.size());
  for (size_t i = 0; i < words_.size(); ++i) {
    lines_.begin_word();
    alphabet.for_each_symbol(words_.word(i), [&](int32_t id) { lines_.add_symbol(id); });
    lines_.end_word();
  }
}

void BpeTrainer::count_pairs() {
  const auto for_each_pair = [&](auto&& take) {
    for (uint32_t at = 1; at + 1 < lines_.size(); ++at) {
      if (lines_.token(at) != SymbolLines::kEnd && lines_.token(at + 1) != SymbolLines::kEnd)
        take(at, key_of(lines_.token(at), lines_.token(at + 1)));
    }
  };
  // A pair's number first, then its places, in one list a pair.
  PairCounts numbers;
  std::vector<uint64_t> keys, ends;
  for_each_pair([&](uint32_t at, uint64_t key) {
    int64_t& number = numbers.at(key);  // from 1 on
    if (number == 0) {
      keys.push_back(key);
      ends.push_back(0);
      number = static_cast<int64_t>(keys.size());
    }
    counts_.at(key) += words_.count(lines_.word_of(at));
    ++ends[static_cast<size_t>(number - 1)];
  });
  uint64_t total = 0;
  for (uint64_t& end : ends) total += std::exchange(end, total);
  places_.resize(total);
  for_each_pair(
      [&](uint32_t at, uint64_t key) { places_[ends[static_cast<size_t>(numbers.at(key) - 1)]++] = at; });
  for (size_t i = 0; i < keys.size(); ++i) {
    const uint64_t begin = i == 0 ? 0 : ends[i - 1];
    queue_.push({counts_.at(keys[i]), keys[i], {begin, static_cast<uint32_t>(ends[i] - begin)}});
  }
}

int32_t BpeTrainer::add_token(int32_t left, int32_t right) {
  const std::string text = std::string(tokens_.token(left)) + std::string(tokens_.token(right));
  if (const int32_t known = tokens_.find(text); known != Vocabulary::kNone) {
    remade_[static_cast<size_t>(known)] = true;
    return known;
  }
  const auto id = static_cast<int32_t>(tokens_.size());
  tokens_.add(text, id);
  lengths_.push_back(lengths_[static_cast<size_t>(left)] + lengths_[static_cast<size_t>(right)]);
  remade_.push_back(false);
  return id;
}

/// Every place of the pair in the words of `places`, instead of these alone.
void BpeTrainer::widen_to_words(std::vector<uint32_t>& places, int32_t left, int32_t right) const {
  std::vector<uint32_t> words;
  for (const uint32_t place : places) words.push_back(lines_.word_of(place));
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  places.clear();
  for (const uint32_t word : words) {
    for (uint32_t at = lines_.begin_of(word); lines_.token(at) != SymbolLines::kEnd; at = lines_.next(at)) {
      if (lines_.token(at) == left && lines_.token(lines_.next(at)) == right) places.push_back(at);
    }
  }
}

void BpeTrainer::merge_at(uint32_t place, int32_t left, int32_t right, int32_t made) {
  if (lines_.token(place) != left) return;
  const uint32_t second = lines_.next(place);
  if (lines_.token(second) != right) return;
  const int64_t count = words_.count(lines_.word_of(place));
  const uint32_t before = lines_.previous(place), after = lines_.next(second);
  if (lines_.token(before) != SymbolLines::kEnd) before_.add(lines_.token(before), count, before);
  if (lines_.token(after) != SymbolLines::kEnd) after_.add(lines_.token(after), count, place);
  lines_.merge(place, second, made);
}

void BpeTrainer::count_new_pairs(int32_t left, int32_t right, int32_t made) {
  for (const int32_t token : before_.tokens()) {
    counts_.at(key_of(token, left)) -= before_.count(token);
    if (allowed(token, made)) counts_.at(key_of(token, made)) += before_.count(token);
  }
  for (const int32_t token : after_.tokens()) {
    counts_.at(key_of(right, token)) -= after_.count(token);
    if (allowed(made, token)) counts_.at(key_of(made, token)) += after_.count(token);
  }
  const auto push = [&](int32_t first, int32_t second, PlaceList list) {
    const int64_t count = counts_.at(key_of(first, second));
    if (allowed(first, second) && count > 0) queue_.push({count, key_of(first, second), list});
  };
  before_.finish(places_, [&](int32_t token, PlaceList list) { push(token, made, list); });
  after_.finish(places_, [&](int32_t token, PlaceList list) { push(made, token, list); });
}

void BpeTrainer::merge(const Waiting& top, int32_t made) {
  const auto left = static_cast<int32_t>(top.key >> 32), right = static_cast<int32_t>(top.key & UINT32_MAX);
  const auto begin = places_.begin() + static_cast<std::ptrdiff_t>(top.list.begin);
  now_.assign(begin, begin + static_cast<std::ptrdiff_t>(top.list.length));
  if (remade_[static_cast<size_t>(left)] || remade_[static_cast<size_t>(right)])
    widen_to_words(now_, left, right);
  for (const uint32_t place : now_) merge_at(place, left, right, made);
  count_new_pairs(left, right, made);
}

/// Of equal merges the last counts.
std::vector<MergeRule> without_repeats(const std::vector<MergeRule>& merges) {
  std::unordered_set<uint64_t> known;
  std::vector<MergeRule> kept;
  for (auto merge = merges.rbegin(); merge != merges.rend(); ++merge) {
    if (known.insert(key_of(merge->left, merge->right)).second) kept.push_back(*merge);
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

TrainedMerges BpeTrainer::run(Progress& progress) {
  std::vector<MergeRule> merges;
  progress.start("merges", static_cast<uint64_t>(options_.vocabulary_size - tokens_.size()), "tokens");
  while (tokens_.size() < options_.vocabulary_size && !queue_.empty()) {
    Waiting top = queue_.top();
    queue_.pop();
    const int64_t count = counts_.at(top.key);
    if (count != top.count) {
      top.count = count;
      queue_.push(top);
      continue;
    }
    if (count < std::max<int64_t>(1, options_.least_count)) break;
    const auto left = static_cast<int32_t>(top.key >> 32), right = static_cast<int32_t>(top.key & UINT32_MAX);
    const int64_t before = tokens_.size();
    merges.push_back({left, right, add_token(left, right)});
    merge(top, merges.back().merged);
    progress.advance(static_cast<uint64_t>(tokens_.size() - before));
  }
  progress.finish();
  TrainedMerges result;
  for (int64_t id = 0; id < tokens_.size(); ++id) result.tokens.emplace_back(tokens_.token(id));
  result.merges = without_repeats(merges);
  return result;
}

}  // namespace

TrainedMerges train_byte_pairs(const WordCounts& words, const BpeTrainerOptions& options,
                               Progress& progress) {
  return BpeTrainer(words, options).run(progress);
}

}  // namespace martlet::text

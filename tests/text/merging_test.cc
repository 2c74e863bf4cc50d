// Byte-pair merging, by lists and by scores, against the plainest possible implementation.

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <map>
#include <optional>

#include "text/joinable.h"
#include "text/model.h"
#include "text/random_text.h"

namespace martlet::text {
namespace {

struct Merges {
  Vocabulary vocabulary;
  std::vector<MergeRule> rules;
};

/// Single letters and `count` merges of random known tokens. Ranks rise with the length of tokens, or not, by
/// chance.
Merges random_merges(Dice& dice, uint64_t letters, int count) {
  Merges out;
  std::vector<std::string> tokens;
  for (uint64_t i = 0; i < letters; ++i) tokens.emplace_back(1, static_cast<char>('a' + i));
  for (const std::string& token : tokens) out.vocabulary.add(token, out.vocabulary.size());
  for (int i = 0; i < count; ++i) {
    const std::string left = dice.pick(tokens), right = dice.pick(tokens);
    if (left.size() + right.size() > 12) continue;
    if (out.vocabulary.add(left + right, out.vocabulary.size())) tokens.push_back(left + right);
    out.rules.push_back(
        {out.vocabulary.find(left), out.vocabulary.find(right), out.vocabulary.find(left + right)});
  }
  for (size_t i = out.rules.size(); i > 1 && dice.below(2) == 0; --i)
    std::swap(out.rules[i - 1], out.rules[dice.below(i)]);
  return out;
}

/// Merges the leftmost pair of lowest rank, again and again. Of equal rules the last counts.
std::vector<int32_t> merged_plainly(const Merges& merges, std::string_view word) {
  std::map<std::pair<int32_t, int32_t>, std::pair<size_t, int32_t>> ranks;
  for (size_t i = 0; i < merges.rules.size(); ++i)
    ranks[{merges.rules[i].left, merges.rules[i].right}] = {i, merges.rules[i].merged};
  std::vector<int32_t> ids;
  for (const char c : word) ids.push_back(merges.vocabulary.find(std::string(1, c)));
  while (true) {
    std::optional<std::pair<size_t, size_t>> best;  // rank, place
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = ranks.find({ids[i], ids[i + 1]});
      if (found != ranks.end() && (!best || found->second.first < best->first))
        best = {found->second.first, i};
    }
    if (!best) return ids;
    ids[best->second] = ranks.at({ids[best->second], ids[best->second + 1]}).second;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best->second) + 1);
  }
}

std::vector<int32_t> encode(const Model& model, std::string_view piece) {
  std::vector<int32_t> ids;
  std::vector<Span> spans;
  Workspace workspace;
  TokenList plain{ids, nullptr};
  model.encode(piece, workspace, plain);
  std::vector<int32_t> again = std::exchange(ids, {});
  model.encode(piece, workspace, plain);  // from the cache
  EXPECT_EQ(ids, again);
  ids.clear();
  TokenList with_spans{ids, &spans};
  model.encode(piece, workspace, with_spans);
  EXPECT_EQ(ids, again);
  EXPECT_EQ(spans.size(), ids.size());
  return ids;
}

TEST(Merging, ShortAndLongWordsMergeAsThePlainAlgorithmDoes) {
  Dice dice(1);
  for (int round = 0; round < 300; ++round) {
    const Merges merges = random_merges(dice, 1 + dice.below(4), 1 + static_cast<int>(dice.below(60)));
    const auto model = make_byte_pair_model(merges.vocabulary, merges.rules, {});
    for (int word = 0; word < 10; ++word) {
      const std::string text = random_word(dice, 1, dice.below(3) == 0 ? 400 : 40, 4);
      std::string known;  // letters that are tokens; others vanish without an unknown token
      for (const char c : text)
        known += merges.vocabulary.find(std::string(1, c)) == Vocabulary::kNone ? "" : std::string(1, c);
      if (known.empty()) continue;
      ASSERT_EQ(encode(*model, known), merged_plainly(merges, known)) << known;
    }
  }
}

TEST(Merging, QueueKeepsOrderWhateverTheRanks) {
  // Both algorithms directly, on the same words.
  Dice dice(2);
  for (int round = 0; round < 300; ++round) {
    const Merges merges = random_merges(dice, 2, 40);
    PairTable pairs(merges.rules.size());
    for (size_t i = 0; i < merges.rules.size(); ++i)
      pairs.set(merges.rules[i].left, merges.rules[i].right, static_cast<uint32_t>(i));
    const auto oracle = [&](const Symbol& left, const Symbol& right) {
      const uint32_t rank = pairs.find(left.id, right.id);
      return rank == PairTable::kNone ? Merge{} : Merge{rank, merges.rules[rank].merged};
    };
    MergeScratch one, two;
    const std::string word = random_word(dice, 2, 200, 2);
    for (uint32_t i = 0; i < word.size(); ++i)
      one.symbols.push_back({merges.vocabulary.find(word.substr(i, 1)), i, i + 1});
    two.symbols = one.symbols;
    merging::merge_short(oracle, one);
    merging::merge_long(oracle, static_cast<uint32_t>(merges.rules.size()), two);
    ASSERT_EQ(one.symbols.size(), two.symbols.size()) << word;
    for (size_t i = 0; i < one.symbols.size(); ++i) {
      EXPECT_EQ(one.symbols[i].id, two.symbols[i].id);
      EXPECT_EQ(one.symbols[i].begin, two.symbols[i].begin);
      EXPECT_EQ(one.symbols[i].end, two.symbols[i].end);
    }
  }
}

TEST(Merging, CuttingSentencesChangesNothing) {
  // Tokens over letters and spaces; the model cuts, the plain algorithm does not.
  Dice dice(3);
  for (int round = 0; round < 200; ++round) {
    Merges merges;
    std::vector<std::string> tokens = {"a", "b", "c", "_", "é"};
    for (const std::string& token : tokens) merges.vocabulary.add(token, merges.vocabulary.size());
    for (int i = 0; i < 30; ++i) {
      const std::string left = dice.pick(tokens), right = dice.pick(tokens);
      if (left.size() + right.size() > 8 || (right[0] == '_' && dice.below(4) != 0)) continue;
      if (merges.vocabulary.add(left + right, merges.vocabulary.size())) tokens.push_back(left + right);
      merges.rules.push_back({merges.vocabulary.find(left), merges.vocabulary.find(right),
                              merges.vocabulary.find(left + right)});
    }
    const auto model = make_byte_pair_model(merges.vocabulary, merges.rules, {});
    for (int i = 0; i < 10; ++i) {
      std::string text;
      const std::vector<std::string> letters = {"a", "b", "c", "_"};
      for (uint64_t left = 1 + dice.below(60); left > 0; --left) text += dice.pick(letters);
      ASSERT_EQ(encode(*model, text), merged_plainly(merges, text)) << text;
    }
  }
}

TEST(Merging, ScoresDecideAmongNeighboursThatMakeAToken) {
  Dice dice(4);
  for (int round = 0; round < 200; ++round) {
    Vocabulary vocabulary;
    std::vector<float> scores;
    for (int i = 0; i < 40; ++i) {
      if (vocabulary.add(random_word(dice, 1, 5, 3), vocabulary.size()))
        scores.push_back(-static_cast<float>(dice.below(20)));
    }
    vocabulary.add("<unk>", vocabulary.size());
    scores.push_back(-100);
    const int32_t unknown = vocabulary.find("<unk>");
    const auto model = make_score_merge_model(vocabulary, scores, unknown);
    for (int i = 0; i < 10; ++i) {
      const std::string word = random_word(dice, 1, 150, 3);
      std::vector<std::string> parts;
      for (const char c : word) parts.emplace_back(1, c);
      while (true) {
        size_t best = parts.size();
        float best_score = 0;
        for (size_t k = 0; k + 1 < parts.size(); ++k) {
          const int32_t id = vocabulary.find(parts[k] + parts[k + 1]);
          if (id == Vocabulary::kNone) continue;
          if (best == parts.size() || scores[static_cast<size_t>(id)] > best_score) {
            best = k;
            best_score = scores[static_cast<size_t>(id)];
          }
        }
        if (best == parts.size()) break;
        parts[best] += parts[best + 1];
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
      }
      std::vector<int32_t> expected;
      for (const std::string& part : parts) {
        const int32_t id = vocabulary.find(part);
        expected.push_back(id == Vocabulary::kNone ? unknown : id);
      }
      ASSERT_EQ(encode(*model, word), expected) << word;
    }
  }
}

TEST(Merging, TakesLinearTimeOnOneLongWord) {
  Vocabulary vocabulary;
  std::vector<MergeRule> rules;
  std::string token = "a";
  vocabulary.add(token, 0);
  for (int32_t i = 1; i < 8; ++i) {  // a, aa, aaaa, ...
    token += token;
    vocabulary.add(token, i);
    rules.push_back({i - 1, i - 1, i});
  }
  const auto model = make_byte_pair_model(vocabulary, rules, {});
  const auto seconds = [&](size_t length) {
    std::vector<int32_t> ids;
    Workspace workspace;
    TokenList out{ids, nullptr};
    const auto start = std::chrono::steady_clock::now();
    model->encode(std::string(length, 'a'), workspace, out);
    EXPECT_EQ(ids.size(), length / 128);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds(128 * 1000);
  const double once = seconds(128 * 1000);
  // 16 times the length: 16 times the time, and some for memory beyond the caches; a quadratic way takes 256
  // times.
  EXPECT_LT(seconds(128 * 16000), 64 * once + 0.2);
}

}  // namespace
}  // namespace martlet::text

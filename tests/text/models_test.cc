// The unigram and WordPiece models against exhaustive search, and the tables they stand on.

#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <optional>

#include "base/error.h"
#include "text/byte_trie.h"
#include "text/model.h"
#include "text/random_text.h"

namespace martlet::text {
namespace {

std::vector<int32_t> encode(const Model& model, std::string_view piece, std::vector<Span>* spans = nullptr) {
  std::vector<int32_t> ids;
  Workspace workspace;
  TokenList out{ids, spans};
  model.encode(piece, workspace, out);
  return ids;
}

TEST(ByteTrie, FindsTheLongestKeyLikeAMap) {
  Dice dice(1);
  for (int round = 0; round < 200; ++round) {
    std::map<std::string, int32_t> keys;
    for (uint64_t left = dice.below(80); left > 0; --left) {
      keys[dice.below(2) == 0 ? random_bytes(dice, 5) : random_word(dice, 1, 8, 3)] =
          static_cast<int32_t>(dice.below(1000));
    }
    keys.erase("");
    std::vector<std::pair<std::string_view, int32_t>> entries(keys.begin(), keys.end());
    const ByteTrie trie(entries);
    for (int i = 0; i < 200; ++i) {
      const std::string text = dice.below(2) == 0 ? random_bytes(dice, 6) : random_word(dice, 0, 10, 3);
      std::pair<size_t, int32_t> expected = {0, ByteTrie::kNone};
      for (size_t length = 1; length <= text.size(); ++length) {
        if (const auto found = keys.find(text.substr(0, length)); found != keys.end())
          expected = {length, found->second};
      }
      ASSERT_EQ(trie.longest(text), expected);
    }
  }
}

TEST(ByteTrie, HoldsManyKeys) {
  std::vector<std::string> keys;
  for (int i = 0; i < 100000; ++i) keys.push_back(std::to_string(i * 7919LL));
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (size_t i = 0; i < keys.size(); ++i) entries.emplace_back(keys[i], static_cast<int32_t>(i));
  const ByteTrie trie(entries);
  for (size_t i = 0; i < keys.size(); ++i)
    EXPECT_EQ(trie.longest(keys[i]), (std::pair{keys[i].size(), static_cast<int32_t>(i)}));
}

TEST(Vocabulary, FindsWhatWasAdded) {
  Dice dice(2);
  Vocabulary vocabulary;
  std::map<std::string, int32_t> expected;
  for (int i = 0; i < 20000; ++i) {
    const std::string token = random_bytes(dice, 12);
    const bool added = vocabulary.add(token, static_cast<int64_t>(expected.size()));
    EXPECT_EQ(added, expected.emplace(token, static_cast<int32_t>(expected.size())).second);
  }
  EXPECT_EQ(vocabulary.count(), static_cast<int64_t>(expected.size()));
  for (const auto& [token, id] : expected) {
    EXPECT_EQ(vocabulary.find(token), id);
    EXPECT_EQ(vocabulary.token(id), token);
  }
  EXPECT_EQ(vocabulary.find("not there, longer than any"), Vocabulary::kNone);
  EXPECT_FALSE(vocabulary.add("x", -1));
  EXPECT_FALSE(vocabulary.add("x", Vocabulary::kIdLimit));
  EXPECT_FALSE(vocabulary.add("new token", 0));
}

TEST(WordCache, ForgetsButNeverMixesUp) {
  Dice dice(3);
  WordCache cache;
  for (int i = 0; i < 100000; ++i) {
    const std::string word = random_word(dice, 1, WordCache::kLongestWord, 5);
    const std::span<const int32_t> known = cache.find(word, hash_bytes(word));
    const auto first = static_cast<int32_t>(hash_bytes(word) & 0xFFFF);
    if (!known.empty()) {
      ASSERT_EQ(known.size(), word.size() % WordCache::kMostTokens + 1);
      ASSERT_EQ(known[0], first);
    }
    const std::vector<int32_t> tokens(word.size() % WordCache::kMostTokens + 1, first);
    cache.keep(word, hash_bytes(word), tokens);
  }
}

TEST(Unigram, FindsTheBestOfAllSegmentations) {
  Dice dice(4);
  for (int round = 0; round < 300; ++round) {
    Vocabulary vocabulary;
    std::vector<double> scores = {0};
    vocabulary.add("<unk>", 0);
    for (uint64_t left = 1 + dice.below(15); left > 0; --left) {
      if (vocabulary.add(random_word(dice, 1, 4, 3), vocabulary.size()))
        scores.push_back(-1.0 - static_cast<double>(dice.below(1000)) / 128);
    }
    const double unknown_score = *std::min_element(scores.begin(), scores.end()) - 10;
    const auto model = make_unigram_model(vocabulary, scores, {0, false});
    for (int i = 0; i < 10; ++i) {
      const std::string word = random_word(dice, 1, 9, 4);
      double best = -std::numeric_limits<double>::infinity();
      std::vector<int32_t> expected, path;
      const std::function<void(size_t, double)> search = [&](size_t at, double score) {
        if (at == word.size()) {
          if (score > best) {
            best = score;
            expected = path;
          }
          return;
        }
        for (size_t length = 1; at + length <= word.size(); ++length) {
          const int32_t id = vocabulary.find(word.substr(at, length));
          if (id == Vocabulary::kNone && length > 1) continue;
          path.push_back(id == Vocabulary::kNone ? 0 : id);
          search(at + length,
                 score + (id == Vocabulary::kNone ? unknown_score : scores[static_cast<size_t>(id)]));
          path.pop_back();
        }
      };
      search(0, 0);
      // Unknown neighbours are one token.
      expected.erase(std::unique(expected.begin(), expected.end(),
                                 [](int32_t a, int32_t b) { return a == 0 && b == 0; }),
                     expected.end());
      const std::vector<int32_t> got = encode(*model, word);
      double got_score = 0;
      size_t at = 0;
      for (const int32_t id : got) {
        if (id != 0) {
          got_score += scores[static_cast<size_t>(id)];
          at += vocabulary.token(id).size();
          continue;
        }
        for (; at < word.size() && vocabulary.find(word.substr(at, 1)) == Vocabulary::kNone; ++at)
          got_score += unknown_score;
      }
      // Two ways may have one score; then only the scores must agree.
      if (got != expected) {
        EXPECT_NEAR(got_score, best, 1e-9) << word;
      }
    }
  }
}

TEST(Unigram, FallsBackToBytesOnlyWhenAllAreThere) {
  Vocabulary vocabulary;
  std::vector<double> scores;
  for (const char* token : {"<unk>", "a", "<0xC3>", "<0xA9>"}) {
    vocabulary.add(token, vocabulary.size());
    scores.push_back(-1);
  }
  const auto model = make_unigram_model(vocabulary, scores, {0, true});
  std::vector<Span> spans;
  EXPECT_EQ(encode(*model, "aéa", &spans), (std::vector<int32_t>{1, 2, 3, 1}));
  EXPECT_EQ(spans[1], (Span{1, 3}));
  EXPECT_EQ(spans[2], (Span{1, 3}));
  EXPECT_EQ(encode(*model, "aèa"), (std::vector<int32_t>{1, 0, 1}));
}

TEST(Unigram, NeedsAnUnknownTokenOnlyForUnknownCharacters) {
  Vocabulary vocabulary;
  vocabulary.add("a", 0);
  const auto model = make_unigram_model(vocabulary, {-1.0}, {});
  EXPECT_EQ(encode(*model, "aa"), (std::vector<int32_t>{0, 0}));
  EXPECT_THROW(encode(*model, "ab"), Error);
}

TEST(WordPiece, TakesTheLongestTokenEachTime) {
  Dice dice(5);
  for (int round = 0; round < 300; ++round) {
    Vocabulary vocabulary;
    vocabulary.add("[UNK]", 0);
    for (int i = 0; i < 20; ++i)
      vocabulary.add((dice.below(2) == 0 ? "##" : "") + random_word(dice, 1, 4, 3), vocabulary.size());
    const auto model = make_word_piece_model(vocabulary, {"[UNK]", "##", 12});
    for (int i = 0; i < 20; ++i) {
      const std::string word = random_word(dice, 1, 14, 3);
      std::vector<int32_t> expected;
      for (size_t at = 0; at < word.size();) {
        size_t length = word.size() - at;
        while (length > 0 &&
               vocabulary.find((at == 0 ? "" : "##") + word.substr(at, length)) == Vocabulary::kNone)
          --length;
        if (length == 0 || word.size() > 12) {
          expected = {0};
          break;
        }
        expected.push_back(vocabulary.find((at == 0 ? "" : "##") + word.substr(at, length)));
        at += length;
      }
      ASSERT_EQ(encode(*model, word), expected) << word;
    }
  }
}

TEST(WordLevel, SaysWhichTokenIsMissing) {
  Vocabulary vocabulary;
  vocabulary.add("a", 0);
  const auto model = make_word_level_model(vocabulary, "<unk>");
  EXPECT_EQ(encode(*model, "a"), (std::vector<int32_t>{0}));
  try {
    encode(*model, "b");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("<unk>"), std::string::npos);
  }
}

}  // namespace
}  // namespace martlet::text

// Training against its definition: count every pair, merge the most frequent one, begin again.

#include "text/bpe_trainer.h"

#include <gtest/gtest.h>
#include <map>
#include <set>

#include "base/error.h"
#include "text/random_text.h"
#include "text/tokenizer.h"
#include "text/tokenizer_trainer.h"

namespace martlet::text {
namespace {

struct Plain {
  std::vector<std::string> tokens;
  std::vector<std::pair<std::string, std::string>> merges;
  bool remade = false;  // two pairs made the same token: the definition ends there
};

Plain trained_plainly(const WordCounts& words, int64_t vocabulary_size) {
  using Word = std::vector<std::string>;
  std::map<std::string, int64_t> ids;
  Plain plain;
  std::set<std::string> alphabet;
  std::vector<std::pair<Word, int64_t>> lines;
  for (size_t i = 0; i < words.size(); ++i) {
    Word word;
    for (const char c : words.word(i)) word.emplace_back(1, c);
    alphabet.insert(word.begin(), word.end());
    lines.emplace_back(std::move(word), words.count(i));
  }
  plain.tokens.assign(alphabet.begin(), alphabet.end());
  for (size_t id = 0; id < plain.tokens.size(); ++id) ids[plain.tokens[id]] = static_cast<int64_t>(id);
  while (static_cast<int64_t>(plain.tokens.size()) < vocabulary_size) {
    std::map<std::pair<int64_t, int64_t>, int64_t> counts;
    for (const auto& [word, count] : lines) {
      for (size_t i = 0; i + 1 < word.size(); ++i) counts[{ids[word[i]], ids[word[i + 1]]}] += count;
    }
    std::pair<int64_t, int64_t> best;
    int64_t most = 0;
    for (const auto& [pair, count] : counts) {
      if (count > most) {
        best = pair;
        most = count;
      }
    }
    if (most == 0) break;
    const std::string left = plain.tokens[static_cast<size_t>(best.first)];
    const std::string right = plain.tokens[static_cast<size_t>(best.second)];
    if (ids.contains(left + right)) {
      plain.remade = true;
      break;
    }
    plain.merges.emplace_back(left, right);
    ids[left + right] = static_cast<int64_t>(plain.tokens.size());
    plain.tokens.push_back(left + right);
    for (auto& [word, count] : lines) {
      Word merged;
      for (size_t i = 0; i < word.size(); ++i) {
        const bool joins = i + 1 < word.size() && word[i] == left && word[i + 1] == right;
        merged.push_back(joins ? left + right : word[i]);
        i += joins ? 1 : 0;
      }
      word = std::move(merged);
    }
  }
  return plain;
}

WordCounts random_words(Dice& dice) {
  WordCounts words;
  const uint64_t letters = 2 + dice.below(5);
  for (uint64_t i = 0; i < 5 + dice.below(60); ++i) {
    std::string word;
    for (uint64_t length = 1 + dice.below(9); length > 0; --length)
      word += static_cast<char>('a' + static_cast<char>(dice.below(letters)));
    words.add(word, static_cast<int64_t>(1 + dice.below(4)));
  }
  return words;
}

TEST(BpeTrainer, MergesAsTheDefinitionDoes) {
  Dice dice(1);
  int64_t compared = 0;
  for (int round = 0; round < 400; ++round) {
    const WordCounts words = random_words(dice);
    BpeTrainerOptions options;
    options.vocabulary_size = 8 + static_cast<int64_t>(dice.below(60));
    const Plain plain = trained_plainly(words, options.vocabulary_size);
    const TrainedMerges trained = train_byte_pairs(words, options);
    const auto token = [&](int32_t id) { return trained.tokens[static_cast<size_t>(id)]; };
    ASSERT_GE(trained.merges.size(), plain.merges.size());
    if (!plain.remade) {
      ASSERT_EQ(trained.tokens, plain.tokens);
      ASSERT_EQ(trained.merges.size(), plain.merges.size());
    }
    for (size_t i = 0; i < plain.merges.size() && !plain.remade; ++i) {
      ASSERT_EQ(token(trained.merges[i].left), plain.merges[i].first) << "merge " << i;
      ASSERT_EQ(token(trained.merges[i].right), plain.merges[i].second) << "merge " << i;
      ++compared;
    }
  }
  EXPECT_GT(compared, 4000);
}

TEST(BpeTrainer, KeepsItsLimits) {
  WordCounts words;
  words.add("abcd", 9);
  words.add("abx", 3);
  BpeTrainerOptions options;
  options.vocabulary_size = 100;
  options.least_count = 4;
  EXPECT_EQ(train_byte_pairs(words, options).tokens,
            (std::vector<std::string>{"a", "b", "c", "d", "x", "ab", "cd", "abcd"}));
  options.longest_token = 4;  // the library's bound is exclusive for what merged symbols merge to
  EXPECT_EQ(train_byte_pairs(words, options).tokens,
            (std::vector<std::string>{"a", "b", "c", "d", "x", "ab", "cd"}));
  options.longest_token.reset();
  options.first_tokens = {"<s>", "x"};
  options.alphabet_limit = 3;  // d and x go; x stays a token because it is named
  EXPECT_EQ(train_byte_pairs(words, options).tokens,
            (std::vector<std::string>{"<s>", "x", "a", "b", "c", "ab", "abc"}));
  options.vocabulary_size = 4;
  EXPECT_THROW(train_byte_pairs(words, options), Error);
}

TEST(TokenizerTrainer, MakesTokenizersThatGiveTheTextBack) {
  Dice dice(2);
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) texts.push_back(random_text(dice));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  for (const bool bytes : {true, false}) {
    BpeTrainerOptions options;
    options.vocabulary_size = 1500;
    TokenizerTrainer trainer(
        bytes ? byte_level_design(WordPattern::kQwen2, {"<s>"}) : sentence_piece_design({"<unk>", "<s>"}),
        options);
    trainer.add(std::span(views).first(100));
    trainer.add(std::span(views).subspan(100));
    const Tokenizer tokenizer = Tokenizer::from_json(trainer.train(), "trained");
    EXPECT_EQ(tokenizer.vocabulary_size(), 1500);
    EXPECT_EQ(tokenizer.id("<s>"), bytes ? 0 : 1);
    for (const std::string& text : texts) {
      if (!bytes && (text.find("▁") != std::string::npos || text.starts_with(' '))) continue;
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    }
  }
}

TEST(WordCounts, AreThoseOfAMap) {
  Dice dice(3);
  WordCounts words, half;
  std::map<std::string, int64_t> expected;
  for (int i = 0; i < 20'000; ++i) {
    const std::string word = std::to_string(dice.below(5000) * dice.below(3));
    expected[word] += 2;
    (i % 2 == 0 ? words : half).add(word, 2);
  }
  words.add(half);
  EXPECT_EQ(words.size(), expected.size());
  for (size_t i = 0; i < words.size(); ++i) EXPECT_EQ(words.count(i), expected[std::string(words.word(i))]);
}

}  // namespace
}  // namespace martlet::text

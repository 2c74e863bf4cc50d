#include "text/tokenizer.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "text/random_text.h"
#include "text/sample_tokenizers.h"
#include "text/unicode.h"

namespace martlet::text {
namespace {

Tokenizer byte_level() {
  return Tokenizer::from_json(byte_level_json(), "tokenizer.json");
}
Tokenizer sentence_piece() {
  return Tokenizer::from_json(sentence_piece_json(), "tokenizer.json");
}

TEST(Tokenizer, EncodesAndDecodesBytes) {
  const Tokenizer tokenizer = byte_level();
  const std::vector<int32_t> ids = tokenizer.encode("he the</s>");
  std::vector<std::string> tokens;
  for (const int32_t id : ids) tokens.push_back(tokenizer.token(id));
  EXPECT_EQ(tokens, (std::vector<std::string>{"he", "Ġthe", "</s>"}));
  EXPECT_EQ(tokenizer.decode(ids), "he the</s>");
  EXPECT_EQ(tokenizer.decode(ids, {.skip_special_tokens = true}), "he the");
  EXPECT_EQ(tokenizer.encode("</s>", {.split_special_tokens = true}).size(), 4u);
  EXPECT_EQ(tokenizer.id("</s>"), tokenizer.vocabulary_size() - 1);
  EXPECT_EQ(tokenizer.id("nowhere"), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(*tokenizer.id("<s>")));
  EXPECT_FALSE(tokenizer.is_special(0));
  EXPECT_THROW(tokenizer.token(tokenizer.vocabulary_size()), Error);
  EXPECT_THROW(tokenizer.token(-1), Error);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{-5, 1 << 30, 40}),
            tokenizer.decode(std::vector<int32_t>{40}));
  EXPECT_TRUE(tokenizer.encode("").empty());
}

TEST(Tokenizer, EveryTextComesBack) {
  Dice dice(1);
  const Tokenizer bytes = byte_level(), sentences = sentence_piece();
  for (int round = 0; round < 2000; ++round) {
    const std::string text = random_text(dice);
    EXPECT_EQ(bytes.decode(bytes.encode(text, {.split_special_tokens = true})), text);
    if (text.find("▁") == std::string::npos) {  // a marked space in the text comes back as a space
      const auto ids = sentences.encode(text, {.add_special_tokens = false, .split_special_tokens = true});
      EXPECT_EQ(sentences.decode(ids), text);
    }
  }
}

TEST(Tokenizer, BytesThatAreNoTextCountAsReplacementCharacters) {
  Dice dice(2);
  const Tokenizer tokenizer = byte_level();
  for (int round = 0; round < 2000; ++round) {
    const std::string bytes = random_bytes(dice, 20);
    EXPECT_EQ(tokenizer.encode(bytes), tokenizer.encode(replace_invalid_utf8(bytes)));
    const Encoding encoding = tokenizer.encode_with_offsets(bytes);
    EXPECT_EQ(encoding.ids, tokenizer.encode(bytes));
    for (const Offset& offset : encoding.offsets) {
      EXPECT_LE(0, offset.begin);
      EXPECT_LE(offset.begin, offset.end);
      EXPECT_LE(offset.end, static_cast<int64_t>(bytes.size()));
    }
  }
}

TEST(Tokenizer, OffsetsPointAtWhatTokensCameFrom) {
  const Tokenizer tokenizer = byte_level();
  const Encoding encoding = tokenizer.encode_with_offsets("he thé</s>");
  EXPECT_EQ(encoding.offsets.front(), (Offset{0, 2}));
  EXPECT_EQ(encoding.offsets.back(), (Offset{7, 11}));
  EXPECT_EQ(encoding.offsets[encoding.offsets.size() - 2], (Offset{5, 7}));
  EXPECT_EQ(character_offsets("he thé</s>", encoding.offsets).back(), (Offset{6, 10}));

  Dice dice(3);
  for (const Tokenizer& one : {tokenizer, sentence_piece()}) {
    for (int round = 0; round < 1000; ++round) {
      const std::string text = random_text(dice);
      const Encoding random = one.encode_with_offsets(text, {.add_special_tokens = false});
      EXPECT_EQ(random.ids, one.encode(text, {.add_special_tokens = false}));
      ASSERT_EQ(random.ids.size(), random.offsets.size());
      // Without removed characters the tokens cover the text, in order.
      int64_t end = 0;
      for (const Offset& offset : random.offsets) {
        EXPECT_LE(offset.begin, end);
        EXPECT_GE(offset.end, end);
        end = offset.end;
      }
      EXPECT_EQ(end, static_cast<int64_t>(text.size()));
    }
  }
}

TEST(Tokenizer, PutsSpecialTokensAroundTheText) {
  const Tokenizer tokenizer = sentence_piece();
  EXPECT_EQ(tokenizer.encode("abc"), (std::vector<int32_t>{1, 266}));
  EXPECT_EQ(tokenizer.encode("abc", {.add_special_tokens = false}), (std::vector<int32_t>{266}));
  EXPECT_EQ(tokenizer.encode(""), (std::vector<int32_t>{1}));
  EXPECT_EQ(tokenizer.encode_with_offsets("abc").offsets, (std::vector<Offset>{{0, 0}, {0, 3}}));
  EXPECT_EQ(tokenizer.unk(), 0);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("é x")), "<s> é x");
}

std::string streamed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  StreamingDecoder decoder(tokenizer);
  std::string all;
  for (const int32_t id : ids) {
    const std::string piece = decoder.add(id);
    EXPECT_TRUE(is_valid_utf8(piece));
    all += piece;
  }
  return all + decoder.finish();
}

TEST(StreamingDecoder, NeverSplitsACharacterAndLosesNothing) {
  Dice dice(4);
  for (const Tokenizer& tokenizer : {byte_level(), sentence_piece()}) {
    for (int round = 0; round < 1000; ++round) {
      const std::string text = random_text(dice);
      const std::vector<int32_t> ids = tokenizer.encode(text);
      EXPECT_EQ(streamed(tokenizer, ids), tokenizer.decode(ids));
    }
  }
}

TEST(StreamingDecoder, GivesWhatRandomIdsMean) {
  Dice dice(5);
  const Tokenizer tokenizer = byte_level();
  for (int round = 0; round < 3000; ++round) {
    std::vector<int32_t> ids;
    for (uint64_t left = dice.below(30); left > 0; --left)
      ids.push_back(static_cast<int32_t>(dice.below(262)));
    EXPECT_EQ(streamed(tokenizer, ids), tokenizer.decode(ids));
  }
}

TEST(StreamingDecoder, GivesTextAsSoonAsItIsCertain) {
  const Tokenizer tokenizer = byte_level();
  StreamingDecoder decoder(tokenizer);
  const std::vector<int32_t> ids = tokenizer.encode("h\U0001F600");
  ASSERT_EQ(ids.size(), 5u);
  EXPECT_EQ(decoder.add(ids[0]), "h");
  EXPECT_EQ(decoder.add(ids[1]), "");
  EXPECT_EQ(decoder.add(ids[2]), "");
  EXPECT_EQ(decoder.add(ids[3]), "");
  EXPECT_EQ(decoder.add(ids[4]), "\U0001F600");
  EXPECT_EQ(decoder.finish(), "");
  decoder.add(ids[1]);
  EXPECT_EQ(decoder.finish(), "\uFFFD");
}

TEST(StreamingDecoder, HoldsBackLittleEvenOfGarbage) {
  const Tokenizer tokenizer = sentence_piece();
  StreamingDecoder decoder(tokenizer);
  size_t out = 0;
  for (int i = 0; i < 1000; ++i) out += decoder.add(3 + 0xFF).size();
  EXPECT_GT(out, 900u * 3);
}

TEST(Tokenizer, GivesTheSameOnManyThreads) {
  Dice dice(6);
  const Tokenizer tokenizer = byte_level();
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i) texts.push_back(random_text(dice, 40));
  std::vector<std::vector<int32_t>> expected;
  for (const std::string& text : texts) expected.push_back(tokenizer.encode(text));
  set_thread_count(4);
  EXPECT_EQ(tokenizer.encode_batch(texts), expected);
  set_thread_count(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(tokenizer.encode(texts[i]), expected[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Tokenizer, ReadsADirectory) {
  const std::string directory = testing::TempDir() + "martlet_tokenizer_" + std::to_string(::getpid());
  std::filesystem::create_directories(directory);
  write_file(directory + "/tokenizer.json", byte_level_json().dump());
  write_file(
      directory + "/tokenizer_config.json",
      R"({"bos_token":"<s>","eos_token":{"content":"</s>"},"pad_token":null,"chat_template":"{{ messages }}"})");
  write_file(directory + "/special_tokens_map.json", R"({"pad_token":"</s>","bos_token":"</s>"})");
  const Tokenizer tokenizer = Tokenizer::load(directory);
  EXPECT_EQ(tokenizer.bos(), tokenizer.id("<s>"));
  EXPECT_EQ(tokenizer.eos(), tokenizer.id("</s>"));
  EXPECT_EQ(tokenizer.pad(), tokenizer.id("</s>"));
  EXPECT_EQ(tokenizer.chat_template(), "{{ messages }}");
  write_file(directory + "/chat_template.jinja", "other");
  EXPECT_EQ(Tokenizer::load(directory).chat_template(), "other");
  std::filesystem::remove_all(directory);
  EXPECT_THAT([&] { Tokenizer::load(directory); },
              testing::Throws<Error>(testing::Property(&Error::what, testing::HasSubstr("tokenizer.json"))));
}

TEST(Tokenizer, AppliesTheFlagsOfAddedTokens) {
  Json json = byte_level_json();
  Json added = json.at("added_tokens");
  int64_t next = added.array().back().at("id").integer() + 1;
  const auto add = [&](const std::string& content, std::vector<std::string> flags) {
    Json token = added_token(content, next++, false);
    for (const std::string& flag : flags) token.set(flag, Json(true));
    added.push_back(token);
  };
  add("word", {"single_word"});
  add("<mask>", {"lstrip", "rstrip", "special"});
  add("<m", {});
  json.set("added_tokens", added);
  const Tokenizer tokenizer = Tokenizer::from_json(json, "tokenizer.json");
  const int32_t word = *tokenizer.id("word"), mask = *tokenizer.id("<mask>"), part = *tokenizer.id("<m");
  EXPECT_THAT(tokenizer.encode("word"), testing::ElementsAre(word));
  EXPECT_THAT(tokenizer.encode("swordé"), testing::Not(testing::Contains(word)));
  EXPECT_THAT(tokenizer.encode("a-word."), testing::Contains(word));
  EXPECT_THAT(tokenizer.encode("a \u00A0<mask>\n b"),
              testing::ElementsAre(tokenizer.encode("a")[0], mask, tokenizer.encode("b")[0]));
  EXPECT_EQ(tokenizer.encode_with_offsets("a <mask> b").offsets[1], (Offset{1, 9}));
  EXPECT_THAT(tokenizer.encode("<mas"), testing::Contains(part));
  EXPECT_THAT(tokenizer.encode("<mask>", {.split_special_tokens = true}),
              testing::Not(testing::Contains(mask)));
}

}  // namespace
}  // namespace martlet::text

// A tokenizer.json as GGUF metadata: the same ids, or a refusal.

#include "text/gguf_from_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "text/gguf_to_json.h"
#include "text/gguf_words.h"
#include "text/random_text.h"
#include "text/sample_tokenizers.h"

namespace martlet::text {
namespace {

GgufTokenizer written(const Json& json, int64_t more_rows = 0) {
  const Tokenizer tokenizer = Tokenizer::from_json(json, "tokenizer.json");
  return gguf_tokenizer(json, tokenizer, tokenizer.vocabulary_size() + more_rows, "tokenizer.json");
}

std::string refusal(const Json& json, int64_t more_rows = 0) {
  try {
    written(json, more_rows);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}

Json with_pre_tokenizer(std::string_view part) {
  Json json = byte_level_json();
  return json.set("pre_tokenizer", parse(std::string(part)));
}

TEST(GgufFromJson, TextsHaveTheSameIdsThereAndBack) {
  for (const Json& json : {byte_level_json(), sentence_piece_json()}) {
    const Tokenizer tokenizer = Tokenizer::from_json(json, "tokenizer.json");
    const GgufTokenizer file = written(json, 5);
    const Tokenizer there = Tokenizer::from_gguf(file.view());
    const Tokenizer back = Tokenizer::from_json(tokenizer_files(file.view()).tokenizer, "back");
    Dice dice(9);
    for (int round = 0; round < 300; ++round) {
      std::string text = random_text(dice, 40);
      // Special tokens are looked for in another order in GGUF files.
      std::erase_if(text, [](char c) { return c == '<' || c == '['; });
      EXPECT_EQ(there.encode(text), tokenizer.encode(text)) << text;
      EXPECT_EQ(back.encode(text), tokenizer.encode(text)) << text;
    }
  }
}

TEST(GgufFromJson, EveryTokenHasItsTypeAndRowsAreFilledUp) {
  const GgufTokenizer file = written(sentence_piece_json(), 2);
  ASSERT_EQ(file.types.size(), file.tokens.size());
  ASSERT_EQ(file.scores.size(), file.tokens.size());
  EXPECT_EQ(file.types[file.types.size() - 1], 5);
  EXPECT_EQ(file.tokens.back(), fmt::format("[PAD{}]", file.tokens.size() - 1));
  for (size_t id = 0; id < file.tokens.size(); ++id) {
    const int32_t wanted = file.tokens[id] == "<s>" ? 3 : file.tokens[id] == "<0x0A>" ? 6 : file.types[id];
    EXPECT_EQ(file.types[id], wanted) << file.tokens[id];
  }
  EXPECT_TRUE(file.add_bos);
  EXPECT_TRUE(file.add_space_prefix);
  EXPECT_THAT(refusal(byte_level_json(), -1), testing::HasSubstr("embeddings"));
}

TEST(GgufFromJson, ExpressionsFindTheNameThatMeansThem) {
  for (const char* name :
       {"gpt-2", "llama3", "qwen2", "gpt-4o", "tekken", "smollm", "deepseek-llm", "kimi-k2", "bloom"}) {
    const GgufWords words = gguf_words(name);
    const std::vector<std::string> expressions(words.expressions.begin(), words.expressions.end());
    const auto found = gguf_words_name(expressions, words.whole_words);
    ASSERT_TRUE(found.has_value()) << name;
    const GgufWords again = gguf_words(*found);
    EXPECT_EQ(again.expressions, words.expressions) << name;
    EXPECT_EQ(again.whole_words, words.whole_words) << name;
  }
  EXPECT_EQ(gguf_words_name(std::vector<std::string>{"x+"}, false), std::nullopt);
  EXPECT_EQ(gguf_words_name({}, false), std::nullopt);
}

TEST(GgufFromJson, WhatHasNoNameIsRefusedByIt) {
  EXPECT_THAT(
      refusal(with_pre_tokenizer(
          R"({"type":"Sequence","pretokenizers":[{"type":"Whitespace"},{"type":"ByteLevel","add_prefix_space":false}]})")),
      testing::HasSubstr("Whitespace"));
  EXPECT_THAT(refusal(with_pre_tokenizer(R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":true})")),
              testing::HasSubstr("add_prefix_space"));
  EXPECT_THAT(
      refusal(with_pre_tokenizer(R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})")),
      testing::HasSubstr("no name"));
  Json words = parse(R"({"model":{"type":"WordLevel","vocab":{"<unk>":0,"a":1},"unk_token":"<unk>"}})");
  EXPECT_THAT(refusal(words), testing::HasSubstr("WordLevel"));
}

TEST(GgufFromJson, OtherIdsAreRefusedWithTheTextThatShowsThem) {
  Json json = byte_level_json();
  json.set("normalizer", parse(R"({"type":"Lowercase"})"));
  EXPECT_THAT(refusal(json), testing::HasSubstr("other ids"));
}

TEST(GgufFromJson, DamagedFilesAreRefusedOrWritten) {
  const std::string whole = sentence_piece_json().dump();
  const Philox random(7);
  int made = 0;
  for (uint64_t round = 0; round < 600; ++round) {
    std::string text = whole;
    for (uint64_t change = 0; change < 1 + round % 3; ++change) {
      const uint64_t at = random.below(round * 16 + change * 2, text.size());
      text[at] = static_cast<char>(32 + random.below(round * 16 + change * 2 + 1, 95));
    }
    try {
      const Json json = Json::parse(text, "damaged");
      const Tokenizer tokenizer = Tokenizer::from_json(json, "damaged");
      const int64_t rows = std::min<int64_t>(tokenizer.vocabulary_size(), 4096);
      Tokenizer::from_gguf(gguf_tokenizer(json, tokenizer, rows, "damaged").view());
      ++made;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
    }
  }
  EXPECT_GT(made, 0);
}

}  // namespace
}  // namespace martlet::text

// Tokenizers out of GGUF metadata.

#include <deque>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <sstream>

#include "base/error.h"
#include "text/added_tokens.h"
#include "text/gguf_to_json.h"
#include "text/gguf_words.h"
#include "text/random_text.h"
#include "text/sample_tokenizers.h"

namespace martlet::text {
namespace {

/// A view of the text for as long as the tests run: vocabularies are views of a file.
std::string_view kept(std::string text) {
  static std::deque<std::string> all;
  return all.emplace_back(std::move(text));
}

GgufVocabulary sentence_piece() {
  GgufVocabulary vocabulary;
  vocabulary.model = "llama";
  const auto add = [&](const std::string& token, float score, int32_t type) {
    vocabulary.tokens.push_back(kept(token));
    vocabulary.scores.push_back(score);
    vocabulary.types.push_back(type);
  };
  add("<unk>", 0, 2);
  add("<s>", 0, 3);
  add("</s>", 0, 3);
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte)
    add(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", 0, 6);
  float score = 0;
  for (const char* token : {"▁a", "bc", "▁abc", "abc", "▁", "a", "b", "c"}) add(token, --score, 1);
  add("\n\n", 0, 4);
  return vocabulary;
}

GgufVocabulary byte_level(const std::string& pre) {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = pre;
  for (size_t byte = 0; byte < 256; ++byte)
    vocabulary.tokens.push_back(kept(token_of_bytes(std::string(1, static_cast<char>(byte)))));
  for (const char* token : {"he", "Ġt", "Ġthe", "<|im_end|>"}) vocabulary.tokens.emplace_back(token);
  vocabulary.types.assign(vocabulary.tokens.size(), 1);
  vocabulary.types.back() = 3;
  vocabulary.merges = {"h e", "Ġ t", "Ġt he"};
  vocabulary.bos = vocabulary.eos = 259;
  return vocabulary;
}

TEST(Gguf, SentencePiecesMergeByScore) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(sentence_piece());
  EXPECT_EQ(tokenizer.encode("abc"), (std::vector<int32_t>{1, 261}));
  EXPECT_EQ(tokenizer.encode("abc</s>abc", {.add_special_tokens = false}),
            (std::vector<int32_t>{261, 2, 261}));
  EXPECT_EQ(tokenizer.encode("é", {.add_special_tokens = false}),
            (std::vector<int32_t>{263, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer.encode("a\n\n\nb", {.add_special_tokens = false}),
            (std::vector<int32_t>{259, 267, 263, 3 + 0x0A, 265}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("abc é", {.add_special_tokens = false})), "abc é");
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_FALSE(tokenizer.is_special(267));
  GgufVocabulary plain = sentence_piece();
  plain.add_space_prefix = false;
  plain.add_bos = false;
  plain.add_eos = true;
  EXPECT_EQ(Tokenizer::from_gguf(plain).encode("abc"), (std::vector<int32_t>{262, 2}));
}

TEST(Gguf, BytesMergeByRank) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(byte_level("smollm"));
  EXPECT_EQ(tokenizer.encode("the the 12<|im_end|>"),
            (std::vector<int32_t>{'t', 256, 258, ' ', '1', '2', 259}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("the 中<|im_end|>")), "the 中<|im_end|>");
  GgufVocabulary llama = byte_level("llama-bpe");
  EXPECT_EQ(Tokenizer::from_gguf(llama).encode("he"), (std::vector<int32_t>{259, 256}));
  llama.add_bos = false;
  EXPECT_EQ(Tokenizer::from_gguf(llama).encode("he"), (std::vector<int32_t>{256}));
}

TEST(Gguf, EveryKnownWayOfCuttingWordsWorks) {
  std::string known;
  try {
    gguf_words("nonsense");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    known = error.what();
  }
  std::istringstream names(known.substr(known.find("known are ") + 10));
  Dice dice(1);
  int count = 0;
  for (std::string name; names >> name; ++count) {
    const Tokenizer tokenizer = Tokenizer::from_gguf(byte_level(name));
    for (int round = 0; round < 50; ++round) {
      const std::string text = random_text(dice, 20);
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {.add_special_tokens = false})), text) << name;
    }
  }
  EXPECT_GT(count, 40);
}

TEST(Gguf, RefusesWhatContradictsItself) {
  const auto refused = [](const std::string& word, auto change,
                          GgufVocabulary vocabulary = byte_level("gpt-2")) {
    change(vocabulary);
    EXPECT_THAT([&] { Tokenizer::from_gguf(vocabulary); },
                testing::Throws<Error>(
                    testing::AllOf(testing::Property(&Error::code, ErrorCode::kBadInput),
                                   testing::Property(&Error::what, testing::HasSubstr("tokenizer.ggml.")),
                                   testing::Property(&Error::what, testing::HasSubstr(word)))));
  };
  using V = GgufVocabulary;
  refused("nonsense", [](V& v) { v.pre = "nonsense"; });
  refused("bert", [](V& v) { v.model = "bert"; });
  refused("empty", [](V& v) { v.tokens.clear(); });
  refused("token_type", [](V& v) { v.types.pop_back(); });
  refused("UTF-8", [](V& v) { v.tokens[3] = "\xC3"; });
  refused("both", [](V& v) { v.tokens[3] = "he"; });
  refused("merges", [](V& v) { v.merges.emplace_back("h zz"); });
  refused("merges", [](V& v) { v.merges.emplace_back("hz"); });
  refused("merges", [](V& v) { v.merges.emplace_back(""); });
  refused("bos_token_id", [](V& v) { v.bos = 260; });
  refused("eos_token_id", [](V& v) { v.eos = -1; });
  refused("add_eos_token", [](V& v) {
    v.eos.reset();
    v.add_eos = true;
  });
  refused(
      "scores", [](V& v) { v.scores.pop_back(); }, sentence_piece());
  refused(
      "scores", [](V& v) { v.scores[5] = std::numeric_limits<float>::quiet_NaN(); }, sentence_piece());
}

TEST(Gguf, LongestAddedTokensAreCutOutFirst) {
  // The plain way: for each token, longest first, cut every text that is left.
  Dice dice(2);
  for (int round = 0; round < 500; ++round) {
    std::vector<AddedToken> tokens;
    for (uint64_t left = 1 + dice.below(8); left > 0; --left) {
      AddedToken token;
      token.content = random_word(dice, 1, 5, 2);
      token.id = static_cast<int32_t>(tokens.size());
      token.normalized = false;
      bool twice = false;
      for (const AddedToken& other : tokens) twice = twice || other.content == token.content;
      if (!twice) tokens.push_back(token);
    }
    const std::string text = random_word(dice, 0, 40, 3);
    struct Part {
      std::string text;
      int32_t id;
    };
    std::vector<Part> parts;
    if (!text.empty()) parts.push_back({text, -1});
    std::vector<AddedToken> order = tokens;
    std::stable_sort(order.begin(), order.end(), [](const AddedToken& a, const AddedToken& b) {
      return a.content.size() > b.content.size();
    });
    for (const AddedToken& token : order) {
      for (size_t i = 0; i < parts.size(); ++i) {
        const size_t at = parts[i].id < 0 ? parts[i].text.find(token.content) : std::string::npos;
        if (at == std::string::npos) continue;
        const std::string whole = parts[i].text;
        std::vector<Part> pieces;
        if (at > 0) pieces.push_back({whole.substr(0, at), -1});
        pieces.push_back({token.content, token.id});
        if (at + token.content.size() < whole.size())
          pieces.push_back({whole.substr(at + token.content.size()), -1});
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i));
        parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(i), pieces.begin(), pieces.end());
        i += at > 0 ? 1 : 0;  // go on behind the token
      }
    }
    const AddedTokens added(
        tokens, [](std::string_view form) { return std::string(form); }, MatchOrder::kLongestFirst);
    std::vector<std::pair<std::string, int32_t>> got, expected;
    added.cut_raw(text, false, [&](size_t begin, size_t end, const AddedToken* token) {
      got.emplace_back(text.substr(begin, end - begin), token == nullptr ? -1 : token->id);
    });
    for (const Part& part : parts) expected.emplace_back(part.text, part.id);
    ASSERT_EQ(got, expected) << text;
  }
}

/// The ids of random texts, some with special tokens, from both forms of a vocabulary.
void expect_same_from_files(const GgufVocabulary& vocabulary, uint64_t seed) {
  const Tokenizer direct = Tokenizer::from_gguf(vocabulary);
  const TokenizerFiles files = tokenizer_files(vocabulary);
  const std::vector<Json> configurations{files.config};
  const Tokenizer read =
      Tokenizer::from_json(Json::parse(files.tokenizer.dump(), "written"), "written", configurations);
  Dice dice(seed);
  for (int round = 0; round < 400; ++round) {
    std::string text = random_text(dice);
    if (round % 3 == 0) text += " abc <|im_end|></s>the\n\nabcbc";
    for (const bool special : {true, false}) {
      const std::vector<int32_t> ids = direct.encode(text, {.add_special_tokens = special});
      ASSERT_EQ(read.encode(text, {.add_special_tokens = special}), ids) << vocabulary.pre << " " << text;
      ASSERT_EQ(read.decode(ids), direct.decode(ids)) << text;
    }
  }
  EXPECT_EQ(read.bos(), direct.bos());
  EXPECT_EQ(read.eos(), direct.eos());
  EXPECT_EQ(read.chat_template(), direct.chat_template());
}

TEST(Gguf, ItsTokenizerAsFilesOfADirectoryGivesTheSameIds) {
  for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "smollm", "default"}) {
    GgufVocabulary vocabulary = byte_level(pre);
    vocabulary.chat_template = "{{ messages }}";
    expect_same_from_files(vocabulary, 1);
    vocabulary.add_bos = vocabulary.add_eos = true;
    expect_same_from_files(vocabulary, 2);
  }
  for (const bool prefix : {true, false}) {
    GgufVocabulary vocabulary = sentence_piece();
    vocabulary.add_space_prefix = prefix;
    expect_same_from_files(vocabulary, 3);
  }
}

}  // namespace
}  // namespace martlet::text

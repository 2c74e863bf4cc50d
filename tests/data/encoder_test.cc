// Documents to ids: what is learnt of a conversation, and which documents are refused.

#include "data/encoder.h"

#include "base/expect_error.h"
#include "text/sample_tokenizers.h"

namespace martlet::data {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPlain =
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}";
constexpr const char* kWithBlocks =
    "{% for m in messages %}<s>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content "
    "}}</s>\n"
    "{% endgeneration %}{% else %}{{ m.content }}</s>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}";

text::Tokenizer tokenizer() {
  const Json config = text::parse(R"({"eos_token": "</s>", "bos_token": "<s>"})");
  return text::Tokenizer::from_json(text::byte_level_json(), "test", std::span(&config, 1));
}

DocumentEncoder encoder_with(const std::string& chat_template, EncodeRules rules = {}) {
  Json config = text::parse(R"({"eos_token": "</s>", "bos_token": "<s>"})");
  config.set("chat_template", chat_template);
  return DocumentEncoder(tokenizer(), text::ChatFormat::from_config(config), rules);
}

Document conversation(const std::string& messages) {
  return document_of(Json(Json::Object{{"messages", text::parse(messages)}}), "rows.jsonl:3");
}

const char* const kTwoTurns =
    R"([{"role": "system", "content": "Be the best."}, {"role": "user", "content": "Where is the hat?"},
        {"role": "assistant", "content": "The hat is here."}, {"role": "user", "content": "Thé other?"},
        {"role": "assistant", "content": "中 there"}])";

/// The text of the tokens that are learnt, and of the others.
std::pair<std::string, std::string> told_apart(const EncodedDocument& encoded) {
  std::vector<int32_t> learnt, rest;
  for (size_t i = 0; i < encoded.ids.size(); ++i)
    (encoded.learns[i] != 0 ? learnt : rest).push_back(encoded.ids[i]);
  return {tokenizer().decode(learnt), tokenizer().decode(rest)};
}

TEST(DocumentEncoder, OnlyTheAssistantIsLearnt) {
  for (const char* chat_template : {kPlain, kWithBlocks}) {
    const EncodedDocument encoded = encoder_with(chat_template).encode(conversation(kTwoTurns));
    ASSERT_EQ(encoded.learns.size(), encoded.ids.size());
    const auto [learnt, rest] = told_apart(encoded);
    EXPECT_EQ(learnt, "The hat is here.</s>\n中 there</s>\n");
    EXPECT_EQ(
        rest,
        "<s>system\nBe the best.</s>\n<s>user\nWhere is the hat?</s>\n<s>assistant\n<s>user\nThé other?</s>\n"
        "<s>assistant\n");
  }
}

TEST(DocumentEncoder, BothWaysToFindTheAssistantAgree) {
  EXPECT_EQ(encoder_with(kPlain).encode(conversation(kTwoTurns)).learns,
            encoder_with(kWithBlocks).encode(conversation(kTwoTurns)).learns);
}

TEST(DocumentEncoder, EverythingIsLearntWhenAskedSo) {
  const EncodedDocument encoded =
      encoder_with(kPlain, {.assistant_only = false}).encode(conversation(kTwoTurns));
  EXPECT_TRUE(encoded.learns.empty());
  EXPECT_EQ(encoded.ids, encoder_with(kPlain).encode(conversation(kTwoTurns)).ids);
}

TEST(DocumentEncoder, ATemplateThatHidesEarlierTurnsIsRefusedWithoutBlocks) {
  const std::string hiding =
      "{% for m in messages %}{% if m.role != 'assistant' or loop.last %}<s>{{ m.role }}\n{{ m.content "
      "}}</s>\n"
      "{% endif %}{% endfor %}{% if add_generation_prompt %}<s>assistant\n{% endif %}";
  EXPECT_THAT(bad_input_of([&] { encoder_with(hiding).encode(conversation(kTwoTurns)); }),
              ::testing::AllOf(HasSubstr("rows.jsonl:3"), HasSubstr("generation blocks")));
}

TEST(DocumentEncoder, ATemplatesRefusalNamesTheRow) {
  EXPECT_THAT(bad_input_of([&] {
                encoder_with("{{ raise_exception('no system role') }}").encode(conversation(kTwoTurns));
              }),
              ::testing::AllOf(HasSubstr("rows.jsonl:3"), HasSubstr("no system role")));
}

TEST(DocumentEncoder, TextEndsWithTheEndToken) {
  Document document;
  document.text = "the hat";
  const std::vector<int32_t> ids = DocumentEncoder(tokenizer(), std::nullopt).encode(document).ids;
  EXPECT_EQ(tokenizer().decode(ids), "the hat</s>");
  EXPECT_EQ(DocumentEncoder(tokenizer(), std::nullopt, {.end_token = false}).encode(document).ids.size() + 1,
            ids.size());
}

TEST(DocumentEncoder, RefusalsNameThePlace) {
  const auto row = [](const char* json) { return document_of(text::parse(json), "a.jsonl:9"); };
  const DocumentEncoder none(EncodeRules{.vocabulary = 100});
  EXPECT_THAT(bad_input_of([&] { none.encode(row(R"({"ids": [1]})")); }),
              ::testing::AllOf(HasSubstr("a.jsonl:9"), HasSubstr("two ids or more")));
  EXPECT_THAT(bad_input_of([&] { none.encode(row(R"({"ids": [1, 5, 100]})")); }),
              ::testing::AllOf(HasSubstr("a.jsonl:9"), HasSubstr("id 100 at place 2 is outside")));
  EXPECT_THAT(bad_input_of([&] { none.encode(row(R"({"text": "t"})")); }), HasSubstr("no tokenizer"));
  EXPECT_THAT(
      bad_input_of([&] { DocumentEncoder(tokenizer(), std::nullopt).encode(conversation(kTwoTurns)); }),
      HasSubstr("no chat template"));
  EXPECT_NO_THROW(none.encode(row(R"({"ids": [99, 0]})")));
}

TEST(DocumentEncoder, TheVocabularysHashTellsTokenizersApart) {
  const DocumentEncoder one(tokenizer(), std::nullopt), same(tokenizer(), std::nullopt);
  const DocumentEncoder other(text::Tokenizer::from_json(text::byte_level_json({"h e"}), "test"),
                              std::nullopt);
  EXPECT_EQ(one.vocabulary_hash(), same.vocabulary_hash());
  EXPECT_NE(one.vocabulary_hash(), other.vocabulary_hash());
}

}  // namespace
}  // namespace martlet::data

// Damaged and hostile tokenizer files: one sentence that names the file and the key.

#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/sample_tokenizers.h"

namespace martlet::text {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Property;
using testing::Throws;

void expect_refused(const Json& json, const std::string& word) {
  EXPECT_THAT([&] { Tokenizer::from_json(json, "tokenizer.json"); },
              Throws<Error>(AllOf(Property(&Error::code, ErrorCode::kBadInput),
                                  Property(&Error::what, HasSubstr("tokenizer.json")),
                                  Property(&Error::what, HasSubstr(word)))));
}

Json with_model(Json json, const std::function<void(Json&)>& change) {
  Json model = json.at("model");
  change(model);
  json.set("model", model);
  return json;
}

Json with_vocabulary(const std::function<void(Json&)>& change) {
  return with_model(byte_level_json(), [&](Json& model) {
    Json vocabulary = model.at("vocab");
    change(vocabulary);
    model.set("vocab", vocabulary);
  });
}

Json with(const std::string& key, const std::string& value) {
  Json json = byte_level_json();
  json.set(key, parse(value));
  return json;
}

TEST(TokenizerErrors, Vocabulary) {
  expect_refused(with_vocabulary([](Json& v) { v.set("x9", Json(-1)); }), "x9");
  expect_refused(with_vocabulary([](Json& v) { v.set("x9", Json(int64_t{1} << 40)); }), "outside");
  expect_refused(with_vocabulary([](Json& v) { v.set("x9", Json(7)); }), "more than one token");
  expect_refused(with_vocabulary([](Json& v) { v.set("x9", Json("7")); }), "integer");
  expect_refused(with_vocabulary([](Json& v) { v.set("x9", Json(7.5)); }), "integer");
  expect_refused(with_vocabulary([](Json& v) { v.set("x9", Json(1000)); }), "no token has the id");
  expect_refused(with_vocabulary([](Json& v) { v.set("\xFF", Json(262)); }), "UTF-8");
  expect_refused(with_model(byte_level_json(), [](Json& m) { m.set("vocab", Json(3)); }), "vocab");
  expect_refused(with_model(byte_level_json(), [](Json& m) { m.set("vocab", Json()); }), "vocab");
}

TEST(TokenizerErrors, ReservedIdsAmongAddedTokensAreNoGap) {
  // Ordinary tokens end before the gap; what lies beyond is added.
  Json json = with_vocabulary([](Json& v) {
    v.set("<s>", Json(262));
    v.set("<reserved>", Json(300));
  });
  Json added = parse("[]");
  added.push_back(added_token("<s>", 262, true));
  added.push_back(added_token("<reserved>", 300, true));
  json.set("added_tokens", added);
  const Tokenizer tokenizer = Tokenizer::from_json(json, "tokenizer.json");
  EXPECT_EQ(tokenizer.vocabulary_size(), 301);
  EXPECT_THROW(tokenizer.token(299), Error);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{299, 300}), "<reserved>");
}

TEST(TokenizerErrors, Merges) {
  const auto merges = [](const std::string& list) {
    return with_model(byte_level_json(), [&](Json& m) { m.set("merges", parse(list)); });
  };
  expect_refused(merges(R"(["h zz"])"), "zz");
  expect_refused(merges(R"(["x q"])"), "xq");
  expect_refused(merges(R"(["he"])"), "two tokens");
  expect_refused(merges(R"(["h e e"])"), "two tokens");
  expect_refused(merges(R"([["h"]])"), "two tokens");
  expect_refused(merges(R"([1])"), "two tokens");
  expect_refused(merges(R"({"h":"e"})"), "merges");
  expect_refused(with_model(byte_level_json(), [](Json& m) { m.set("merges", Json()); }), "merges");
}

TEST(TokenizerErrors, Model) {
  expect_refused(with("model", "null"), "model");
  expect_refused(with("model", R"({"type":"Nonsense","vocab":{}})"), "Nonsense");
  expect_refused(with("model", R"({"type":"Unigram","vocab":{}})"), "list");
  expect_refused(with("model", R"({"type":"Unigram","vocab":[]})"), "0 entries");
  expect_refused(with("model", R"({"type":"Unigram","vocab":[["a"]]})"), "score");
  expect_refused(with("model", R"({"type":"Unigram","vocab":[["a",-1.0]],"unk_id":1})"), "unk_id");
  expect_refused(with("model", R"({"type":"WordPiece","vocab":{"a":0},"max_input_chars_per_word":-3})"),
                 "max_input_chars_per_word");
  expect_refused(with_model(byte_level_json(), [](Json& m) { m.set("byte_fallback", Json("yes")); }),
                 "byte_fallback");
}

TEST(TokenizerErrors, AddedTokens) {
  expect_refused(with("added_tokens", R"({"a":1})"), "added_tokens");
  expect_refused(with("added_tokens", R"([3])"), "added_tokens");
  expect_refused(with("added_tokens", R"([{"id":262}])"), "content");
  expect_refused(with("added_tokens", R"([{"id":700,"content":"<s>"}])"), "262");
  expect_refused(with("added_tokens", R"([{"id":5,"content":"<s>"}])"), "262");
  expect_refused(with("added_tokens", R"([{"id":99999999999,"content":"<s>"}])"), "262");
  expect_refused(with("added_tokens", R"([{"id":3,"content":"a"}])"), "its place");
}

TEST(TokenizerErrors, PostProcessor) {
  expect_refused(with("post_processor", R"({"type":"Nonsense"})"), "Nonsense");
  expect_refused(with("post_processor", R"({"type":"BertProcessing","sep":["</s>",9999],"cls":["<s>",1]})"),
                 "sep");
  expect_refused(with("post_processor", R"({"type":"BertProcessing","sep":["</s>",-1],"cls":["<s>",1]})"),
                 "sep");
  expect_refused(with("post_processor", R"({"type":"BertProcessing","sep":"</s>","cls":["<s>",1]})"), "sep");
  expect_refused(
      with("post_processor",
           R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<x>"}}],"special_tokens":{}})"),
      "<x>");
  expect_refused(
      with("post_processor",
           R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"B"}}],"special_tokens":{}})"),
      "B");
  expect_refused(with("post_processor", R"({"type":"TemplateProcessing","single":[7],"special_tokens":{}})"),
                 "single");
  expect_refused(
      with(
          "post_processor",
          R"({"type":"Sequence","processors":[{"type":"BertProcessing","sep":["s",1],"cls":["c",1]},{"type":"BertProcessing","sep":["s",1],"cls":["c",1]}]})"),
      "only one");
}

TEST(TokenizerErrors, OtherParts) {
  expect_refused(with("decoder", R"({"type":"Nonsense"})"), "Nonsense");
  expect_refused(with("decoder", R"({"type":"Strip","content":"ab","start":0,"stop":0})"), "content");
  expect_refused(with("decoder", R"({"type":"Strip","content":"a","start":-1,"stop":0})"), "start");
  expect_refused(with("decoder", R"("ByteLevel")"), "decoder");
  expect_refused(with("pre_tokenizer",
                      R"({"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated","invert":false})"),
                 "(a");
  expect_refused(with("normalizer", R"(7)"), "normalizer");
  EXPECT_THROW(Tokenizer::from_json(parse("[]"), "tokenizer.json"), Error);
  EXPECT_THROW(Tokenizer::from_json(parse("{}"), "tokenizer.json"), Error);
}

TEST(TokenizerErrors, UnknownTokensAreMissedOnlyWhereTheyAreNeeded) {
  const Tokenizer tokenizer = Tokenizer::from_json(
      parse(R"({"model":{"type":"BPE","unk_token":"<unk>","vocab":{"a":0},"merges":[]}})"), "t");
  EXPECT_EQ(tokenizer.encode("aa"), (std::vector<int32_t>{0, 0}));
  EXPECT_THAT([&] { tokenizer.encode("ab"); }, Throws<Error>(Property(&Error::what, HasSubstr("<unk>"))));
  EXPECT_EQ(tokenizer.encode("a"), (std::vector<int32_t>{0}));
}

}  // namespace
}  // namespace martlet::text

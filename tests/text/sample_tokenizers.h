#pragma once

// Small tokenizers for tests, as the content of tokenizer.json files.

#include <string>
#include <vector>

#include "base/json.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace martlet::text {

inline Json parse(const std::string& text) {
  return Json::parse(text, "test");
}

inline Json added_token(const std::string& content, int64_t id, bool special) {
  return Json(Json::Object{{"id", Json(id)},
                           {"content", Json(content)},
                           {"special", Json(special)},
                           {"normalized", Json(!special)}});
}

/// A byte-level tokenizer: all bytes, the given merges ("Ġt he"), then <s> and </s>.
inline Json byte_level_json(const std::vector<std::string>& merges = {"h e", "Ġ t", "Ġt he", "Ã ©", "ä ¸",
                                                                      "ä¸ Ń"}) {
  Json vocabulary = parse("{}"), list = parse("[]");
  int64_t next = 0;
  for (const char32_t c : byte_alphabet()) {
    std::string token;
    append_utf8(token, c);
    vocabulary.set(token, Json(next++));
  }
  for (const std::string& merge : merges) {
    std::string whole = merge;
    whole.erase(whole.find(' '), 1);
    if (vocabulary.find(whole) == nullptr) vocabulary.set(whole, Json(next++));
    list.push_back(Json(merge));
  }
  Json json = parse(R"({"version":"1.0","normalizer":null,"decoder":{"type":"ByteLevel"},
    "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},"model":{"type":"BPE"}})");
  Json model = json.at("model");
  model.set("vocab", vocabulary);
  model.set("merges", list);
  json.set("model", model);
  Json added = parse("[]");
  added.push_back(added_token("<s>", next, true));
  added.push_back(added_token("</s>", next + 1, true));
  json.set("added_tokens", added);
  return json;
}

/// A tokenizer as SentencePiece makes them: marked spaces, bytes, <s> before the text.
inline Json sentence_piece_json() {
  Json json = parse(
      R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
    "pre_tokenizer":null,
    "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
    "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
      "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}},
    "model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true}})");
  Json vocabulary = parse(R"({"<unk>":0,"<s>":1,"</s>":2})");
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    vocabulary.set(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">",
                   Json(static_cast<int64_t>(3 + byte)));
  }
  int64_t next = 259;
  for (const char* token : {"▁", "a", "b", "c", "é", "▁a", "bc", "▁abc"}) vocabulary.set(token, Json(next++));
  Json model = json.at("model");
  model.set("vocab", vocabulary);
  model.set("merges", parse(R"([["▁","a"],["b","c"],["▁a","bc"]])"));
  json.set("model", model);
  Json added = parse("[]");
  int64_t id = 0;
  for (const char* token : {"<unk>", "<s>", "</s>"}) added.push_back(added_token(token, id++, true));
  json.set("added_tokens", added);
  return json;
}

}  // namespace martlet::text

#include "text/gguf_to_json.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "text/gguf_words.h"

namespace martlet::text {
namespace {

constexpr std::string_view kMarkedSpace = "\xE2\x96\x81";

Json typed(std::string_view type) {
  Json part;
  return part.set("type", type);
}

Json replace(std::string_view what, std::string_view by) {
  Json pattern;
  pattern.set("String", what);
  return typed("Replace").set("pattern", std::move(pattern)).set("content", by);
}

Json sequence(std::string_view key, Json::Array parts) {
  return typed("Sequence").set(key, Json(std::move(parts)));
}

std::string token_text(const GgufVocabulary& vocabulary, size_t id) {
  const std::string text(vocabulary.tokens[id]);
  return text.empty() ? fmt::format("[EMPTY_{}]", id) : text;
}

/// Members in order of ids, without looking for equal keys one by one: `set` would take quadratic time.
Json vocabulary_table(const GgufVocabulary& vocabulary) {
  Json::Object table;
  table.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    table.emplace_back(token_text(vocabulary, id), Json(static_cast<int64_t>(id)));
  return Json(std::move(table));
}

Json merge_list(std::span<const std::pair<std::string, std::string>> merges) {
  Json::Array rows;
  rows.reserve(merges.size());
  for (const auto& [left, right] : merges) rows.push_back(Json(Json::Array{Json(left), Json(right)}));
  return Json(std::move(rows));
}

using Merges = std::vector<std::pair<std::string, std::string>>;

Merges given_merges(const GgufVocabulary& vocabulary) {
  Merges merges;
  for (const auto& merge : vocabulary.merges) {
    const std::string text(merge);
    const size_t space = text.find(' ', 1);
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

Merges merges_of_scores(const GgufVocabulary& vocabulary) {
  struct Candidate {
    float score;
    int32_t left, right;
    std::pair<std::string, std::string> texts;
  };
  std::unordered_map<std::string, int32_t> ids;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    ids.emplace(token_text(vocabulary, id), static_cast<int32_t>(id));
  std::vector<Candidate> candidates;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string text = token_text(vocabulary, id);
    for (size_t at = 1; at < text.size(); ++at) {
      if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;  // inside a character
      const auto left = ids.find(text.substr(0, at));
      const auto right = ids.find(text.substr(at));
      if (left == ids.end() || right == ids.end()) continue;
      candidates.push_back({vocabulary.scores[id], left->second, right->second, {left->first, right->first}});
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    if (a.score != b.score) return a.score > b.score;
    return std::pair(a.left, a.right) < std::pair(b.left, b.right);
  });
  Merges merges;
  for (Candidate& candidate : candidates) merges.push_back(std::move(candidate.texts));
  return merges;
}

Json added_tokens(const Tokenizer& tokenizer, const GgufVocabulary& vocabulary) {
  constexpr int32_t kUserDefined = 4;
  Json rows{Json::Array{}};
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const bool special = tokenizer.is_special(static_cast<int64_t>(id));
    const bool user_defined = !vocabulary.types.empty() && vocabulary.types[id] == kUserDefined;
    if ((!special && !user_defined) || vocabulary.tokens[id].empty()) continue;
    Json row;
    row.set("id", static_cast<int64_t>(id)).set("content", token_text(vocabulary, id));
    row.set("single_word", false).set("lstrip", false).set("rstrip", false);
    rows.push_back(row.set("normalized", false).set("special", special));
  }
  return rows;
}

/// Special tokens around the text, as `encode` puts them.
Json post_processor(const Tokenizer& tokenizer) {
  const std::vector<int32_t> around = tokenizer.encode("");
  if (around.empty()) return {};
  Json::Array single, pair;
  Json specials{Json::Object{}};
  const auto add = [&](int32_t id, int64_t type, Json::Array& to) {
    Json token, part;
    token.set("id", tokenizer.token(id)).set("type_id", type);
    to.push_back(part.set("SpecialToken", std::move(token)));
    Json special;
    special.set("id", tokenizer.token(id)).set("ids", Json(Json::Array{Json(int64_t{id})}));
    specials.set(tokenizer.token(id), special.set("tokens", Json(Json::Array{Json(tokenizer.token(id))})));
  };
  const auto add_text = [](std::string_view name, int64_t type, Json::Array& to) {
    Json text, part;
    text.set("id", name).set("type_id", type);
    to.push_back(part.set("Sequence", std::move(text)));
  };
  // Of an empty text only the tokens around it remain: the first is the beginning where there is one.
  const bool has_begin = tokenizer.bos() == around.front();
  for (int64_t type = 0; type < 2; ++type) {
    for (Json::Array* to : {&single, &pair}) {
      if (type == 1 && to == &single) continue;
      if (has_begin) add(around.front(), type, *to);
      add_text(type == 0 ? "A" : "B", type, *to);
      for (size_t i = has_begin ? 1 : 0; i < around.size(); ++i) add(around[i], type, *to);
    }
  }
  return typed("TemplateProcessing")
      .set("single", Json(std::move(single)))
      .set("pair", Json(std::move(pair)))
      .set("special_tokens", std::move(specials));
}

void set_byte_level(const GgufVocabulary& vocabulary, Json& file) {
  const GgufWords words = gguf_words(vocabulary.pre);
  Json::Array parts;
  for (const std::string_view expression : words.expressions) {
    Json pattern;
    pattern.set("Regex", expression);
    parts.push_back(
        typed("Split").set("pattern", std::move(pattern)).set("behavior", "Isolated").set("invert", false));
  }
  const Json bytes = typed("ByteLevel").set("add_prefix_space", false).set("trim_offsets", true);
  parts.push_back(Json(bytes).set("use_regex", false));
  file.set("normalizer", nullptr).set("pre_tokenizer", sequence("pretokenizers", std::move(parts)));
  file.set("decoder", Json(bytes).set("use_regex", true));
  file.set("model", typed("BPE")
                        .set("dropout", nullptr)
                        .set("unk_token", nullptr)
                        .set("fuse_unk", false)
                        .set("byte_fallback", false)
                        .set("ignore_merges", words.whole_words)
                        .set("vocab", vocabulary_table(vocabulary))
                        .set("merges", merge_list(given_merges(vocabulary))));
}

void set_sentence_piece(const GgufVocabulary& vocabulary, const Tokenizer& tokenizer, Json& file) {
  const bool prefix = vocabulary.add_space_prefix.value_or(true);
  Json::Array normalizers, decoders;
  if (prefix) normalizers.push_back(typed("Prepend").set("prepend", kMarkedSpace));
  normalizers.push_back(replace(" ", kMarkedSpace));
  decoders.push_back(replace(kMarkedSpace, " "));
  decoders.push_back(typed("ByteFallback"));
  decoders.push_back(typed("Fuse"));
  if (prefix) decoders.push_back(typed("Strip").set("content", " ").set("start", 1).set("stop", 0));
  file.set("normalizer", sequence("normalizers", std::move(normalizers))).set("pre_tokenizer", nullptr);
  file.set("decoder", sequence("decoders", std::move(decoders)));
  const std::optional<int32_t> unknown = tokenizer.unk();
  file.set("model", typed("BPE")
                        .set("dropout", nullptr)
                        .set("unk_token", unknown ? Json(tokenizer.token(*unknown)) : Json())
                        .set("fuse_unk", true)
                        .set("byte_fallback", true)
                        .set("ignore_merges", false)
                        .set("vocab", vocabulary_table(vocabulary))
                        .set("merges", merge_list(merges_of_scores(vocabulary))));
}

Json config_of(const GgufVocabulary& vocabulary, const Tokenizer& tokenizer) {
  Json config;
  config.set("tokenizer_class", "PreTrainedTokenizerFast");
  const std::pair<std::string_view, std::optional<int32_t>> named[] = {{"bos_token", tokenizer.bos()},
                                                                       {"eos_token", tokenizer.eos()},
                                                                       {"unk_token", tokenizer.unk()},
                                                                       {"pad_token", tokenizer.pad()}};
  for (const auto& [name, id] : named)
    if (id) config.set(name, tokenizer.token(*id));
  config.set("clean_up_tokenization_spaces", false);
  if (!vocabulary.chat_template.empty()) config.set("chat_template", vocabulary.chat_template);
  return config;
}

}  // namespace

TokenizerFiles tokenizer_files(const GgufVocabulary& vocabulary) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(vocabulary);
  Json file;
  file.set("version", "1.0").set("truncation", nullptr).set("padding", nullptr);
  file.set("added_tokens", added_tokens(tokenizer, vocabulary));
  if (vocabulary.model == "gpt2")
    set_byte_level(vocabulary, file);
  else
    set_sentence_piece(vocabulary, tokenizer, file);
  file.set("post_processor", post_processor(tokenizer));
  return {std::move(file), config_of(vocabulary, tokenizer)};
}

}  // namespace martlet::text

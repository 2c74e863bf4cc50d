#include "text/gguf_from_json.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "text/gguf_words.h"
#include "text/json_parts.h"
#include "text/word_patterns.h"

namespace martlet::text {
namespace {

constexpr int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

// In composed form; what is cut, joined or fallen back from in every common way.
constexpr std::string_view kTexts[] = {
    "The quick brown fox doesn't jump over 13 lazy dogs; it's 3.14159 or 1,234,567!",
    "  two  spaces,\ttabs\n\nlines \r\n   and   trailing   ",
    "def f(x):\n    return {'a': [x + 1, 0x1F], \"b\": None}  # comment\n",
    "Ünïcödé naïve façade, ÅNGSTRÖM, İstanbul, ΑΒΓ αβγς, Привет, мир!",
    "中文分词测试：今天天气很好。日本語のテキストです。한국어 문장입니다.",
    "العربية ١٢٣ हिन्दी ภาษาไทย עברית",
    "👩‍🔬👍🏽🇫🇷 ½ x² №5 … — “quotes” ‘single’ «guillemets»",
    "http://example.org/a?b=c&d=e%20f user@mail.com CamelCaseWords snake_case_words",
    "I'LL we've You'Re can't 'tis ''quoted'' a'b",
    "\n",
    " ",
    "a",
    "0",
    "",
};
// Of the vocabulary's own tokens, spread over it.
constexpr int64_t kSampledTokens = 4096;

bool is_byte_token(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

const Json& part_of(const Json& json, std::string_view key) {
  static const Json nothing;
  const Json* found = json.find(key);
  return found == nullptr ? nothing : *found;
}

/// The expressions, one after the other, by which words are cut before byte-level BPE; throws for a part that
/// GGUF files have no name for.
std::vector<std::string> expressions_of(const Json& pre_tokenizer, const std::string& where) {
  std::vector<std::string> expressions;
  for_each_part(pre_tokenizer, "pretokenizers", where, [&](const Json& part, const std::string& at) {
    const Fields fields(part, at);
    const std::string type = fields.text("type");
    if (type == "ByteLevel") {
      if (fields.boolean("add_prefix_space", true))
        bad_input("{}: add_prefix_space is set, which GGUF files of byte-level tokenizers cannot say", at);
      if (fields.boolean("use_regex", true)) expressions.emplace_back(expression_of(WordPattern::kGpt2));
    } else if (type == "Digits") {
      expressions.emplace_back(fields.boolean("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "Split") {
      const Json* pattern = fields.value("pattern");
      const Json* regex = pattern == nullptr ? nullptr : pattern->find("Regex");
      const bool cuts = fields.text("behavior", "") == "Isolated" ||
                        (fields.text("behavior", "") == "Removed" && fields.boolean("invert", false));
      if (regex == nullptr || !regex->is_string() || !cuts)
        bad_input("{}: only a Split at a Regex that keeps all text can be written in a GGUF file", at);
      expressions.push_back(regex->string());
    } else {
      bad_input(
          "{}: the pre-tokenizer {} cannot be written in a GGUF file; those that can are ByteLevel, "
          "Digits, Split",
          at, type);
    }
  });
  return expressions;
}

std::string name_of_words(const Json& json, const std::string& source) {
  const std::vector<std::string> expressions =
      expressions_of(part_of(json, "pre_tokenizer"), source + " \"pre_tokenizer\"");
  const Json* whole = json.at("model").find("ignore_merges");
  const bool whole_words = whole != nullptr && whole->is_boolean() && whole->boolean();
  if (const auto name = gguf_words_name(expressions, whole_words)) return std::string(*name);
  std::string shown;
  for (const std::string& expression : expressions)
    shown += fmt::format("{}\"{}\"", shown.empty() ? "" : ", ", expression);
  bad_input("{} \"pre_tokenizer\": this way to cut words has no name in GGUF files: {}", source,
            shown.empty() ? "not at all" : shown);
}

std::vector<std::pair<std::string, std::string>> merges_of(const Json& model, const std::string& source) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const Json& merge : model.at("merges").array()) {
    if (merge.is_array()) {
      merges.emplace_back(merge.array().at(0).string(), merge.array().at(1).string());
      continue;
    }
    const std::string& text = merge.string();
    if (text.starts_with("#version")) continue;
    const size_t space = text.find(' ');
    if (space == std::string::npos) bad_input("{}: the merge \"{}\" is not two tokens", source, text);
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

/// Tokens by id, with their types.
void add_tokens(const Json& json, const Tokenizer& tokenizer, int64_t rows, const std::string& source,
                GgufTokenizer& to) {
  const int64_t known = tokenizer.vocabulary_size();
  if (known > rows)
    bad_input("{}: the tokenizer has {} tokens and the model {} embeddings", source, known, rows);
  std::vector<std::string> named(static_cast<size_t>(rows));
  std::vector<int32_t> types(static_cast<size_t>(rows), kUnused);
  const auto place = [&](const std::string& text, int64_t id, int32_t type) {
    if (id < 0 || id >= rows) return;
    named[static_cast<size_t>(id)] = text;
    types[static_cast<size_t>(id)] = type;
  };
  for (const auto& [text, id] : json.at("model").at("vocab").object())
    place(text, id.integer(), to.model == "llama" && is_byte_token(text) ? kByte : kNormal);
  if (const Json* added = json.find("added_tokens"); added != nullptr && added->is_array())
    for (const Json& token : added->array()) {
      const Json* special = token.find("special");
      const bool is_special = special != nullptr && special->is_boolean() && special->boolean();
      place(token.at("content").string(), token.at("id").integer(), is_special ? kControl : kUserDefined);
    }
  if (to.model == "llama" && to.unk && *to.unk < rows) types[static_cast<size_t>(*to.unk)] = kUnknown;
  for (int64_t id = 0; id < rows; ++id)
    if (types[static_cast<size_t>(id)] == kUnused)
      named[static_cast<size_t>(id)] = fmt::format("[PAD{}]", id);
  to.tokens = std::move(named);
  to.types = std::move(types);
}

/// What two tokens make has the score of the first merge that makes it; what no merge makes comes after all.
void add_scores(const std::vector<std::pair<std::string, std::string>>& merges, GgufTokenizer& to) {
  std::unordered_map<std::string, float> ranks;
  for (const auto& [left, right] : merges) ranks.emplace(left + right, -static_cast<float>(ranks.size()));
  const auto last = -static_cast<float>(ranks.size());
  for (size_t id = 0; id < to.tokens.size(); ++id) {
    const auto rank = ranks.find(to.tokens[id]);
    to.scores.push_back(to.types[id] != kNormal ? 0.0f : rank == ranks.end() ? last : rank->second);
  }
}

void add_special(const Tokenizer& tokenizer, GgufTokenizer& to) {
  const auto id = [](std::optional<int32_t> from) {
    return from ? std::optional<int64_t>(*from) : std::nullopt;
  };
  to.bos = id(tokenizer.bos());
  to.eos = id(tokenizer.eos());
  to.unk = id(tokenizer.unk());
  to.pad = id(tokenizer.pad());
  // Of an empty text only the tokens around it remain.
  const std::vector<int32_t> around = tokenizer.encode("");
  if (around.empty()) return;
  to.add_eos = around.back() == to.eos && (around.size() > 1 || around.front() != to.bos);
  to.add_bos = around.size() > (to.add_eos ? 1u : 0u);
  if (to.add_bos && !to.bos) to.bos = around.front();
}

/// The first text that gives other ids; nothing when all agree.
std::optional<std::string> first_difference(const Tokenizer& tokenizer, const GgufTokenizer& written) {
  const Tokenizer read = Tokenizer::from_gguf(written.view());
  std::vector<std::string> texts(std::begin(kTexts), std::end(kTexts));
  const int64_t size = tokenizer.vocabulary_size();
  const int64_t step = std::max<int64_t>(1, size / kSampledTokens);
  std::vector<int32_t> run;
  for (int64_t id = 0; id < size; id += step) {
    const auto type = written.types[static_cast<size_t>(id)];
    if (type == kUnused || type == kByte || type == kUnknown) continue;
    texts.push_back(tokenizer.decode(std::vector<int32_t>{static_cast<int32_t>(id)}));
    run.push_back(static_cast<int32_t>(id));
    if (run.size() < 16) continue;
    texts.push_back(tokenizer.decode(run));
    run.clear();
  }
  // Halves of characters are no text that anybody writes.
  std::erase_if(texts,
                [](const std::string& text) { return text.find("\xEF\xBF\xBD") != std::string::npos; });
  const auto wanted = tokenizer.encode_batch(texts);
  const auto got = read.encode_batch(texts);
  for (size_t i = 0; i < texts.size(); ++i)
    if (wanted[i] != got[i]) return texts[i];
  return std::nullopt;
}

[[noreturn]] void gives_other_ids(const std::string& source, const std::string& text) {
  bad_input("{}: written in a GGUF file this tokenizer would give other ids, for {} among other texts",
            source, Json(text).dump());
}

}  // namespace

GgufVocabulary GgufTokenizer::view() const {
  GgufVocabulary view;
  view.model = model;
  view.pre = pre;
  view.tokens.assign(tokens.begin(), tokens.end());
  view.scores = scores;
  view.types = types;
  view.merges.assign(merges.begin(), merges.end());
  view.bos = bos;
  view.eos = eos;
  view.unk = unk;
  view.pad = pad;
  view.add_bos = add_bos;
  view.add_eos = add_eos;
  if (model == "llama") view.add_space_prefix = add_space_prefix;
  view.chat_template = chat_template;
  return view;
}

GgufTokenizer gguf_tokenizer(const Json& json, const Tokenizer& tokenizer, int64_t rows,
                             const std::string& source) {
  const Json& model = json.at("model");
  const Json* type = model.find("type");
  const bool is_pairs = type == nullptr ? model.find("merges") != nullptr : *type == Json("BPE");
  if (!is_pairs)
    bad_input("{}: a {} tokenizer cannot be written in a GGUF file here; those that can are BPE", source,
              type != nullptr && type->is_string() ? type->string() : "unnamed");
  const Json* fallback = model.find("byte_fallback");
  const bool falls_back = fallback != nullptr && fallback->is_boolean() && fallback->boolean();
  GgufTokenizer written;
  written.model = falls_back ? "llama" : "gpt2";
  written.chat_template = tokenizer.chat_template();
  add_special(tokenizer, written);
  add_tokens(json, tokenizer, rows, source, written);
  const auto merges = merges_of(model, source);
  if (!falls_back) {
    written.pre = name_of_words(json, source);
    for (const auto& [left, right] : merges) written.merges.push_back(left + " " + right);
    if (const auto text = first_difference(tokenizer, written)) gives_other_ids(source, *text);
    return written;
  }
  written.pre = "default";
  add_scores(merges, written);
  // Whether a space is put before the text stands in one of several parts; what comes out tells.
  std::optional<std::string> text;
  for (const bool prefix : {true, false}) {
    written.add_space_prefix = prefix;
    text = first_difference(tokenizer, written);
    if (!text) return written;
  }
  gives_other_ids(source, *text);
}

}  // namespace martlet::text

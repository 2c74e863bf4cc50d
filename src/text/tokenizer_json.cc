// Reading a tokenizer.json and the files beside it.

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/fields.h"
#include "base/files.h"
#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace martlet::text {

namespace {

void require_text(const std::string& token, const std::string& where) {
  if (!is_valid_utf8(token)) bad_input("{}: a token is not valid UTF-8", where);
}

/// A vocabulary written as a table from token to id.
void read_vocabulary(const Json& json, const std::string& where, Vocabulary& vocabulary) {
  if (!json.is_object()) bad_input("{}: expected a table of tokens and ids, got {}", where, json.kind_name());
  size_t bytes = 0;
  for (const auto& [token, id] : json.object()) bytes += token.size();
  vocabulary.reserve(json.object().size(), bytes);
  for (const auto& [token, id] : json.object()) {
    require_text(token, where);
    if (!id.is_integer())
      bad_input("{}: the id of \"{}\" must be an integer, got {}", where, token, id.kind_name());
    if (id.integer() < 0 || id.integer() >= Vocabulary::kIdLimit) {
      bad_input("{}: the id of \"{}\" is {}, which is outside 0 to {}", where, token, id.integer(),
                Vocabulary::kIdLimit - 1);
    }
    if (!vocabulary.add(token, id.integer()))
      bad_input("{}: the id {} stands for more than one token, \"{}\" among them", where, id.integer(),
                token);
  }
}

/// A gap means a damaged file. Only added tokens may lie beyond one: vocabularies with reserved ids are
/// published.
void refuse_gaps(const Vocabulary& vocabulary, const Json* added, const std::string& where) {
  if (vocabulary.count() == vocabulary.size()) return;
  std::unordered_set<std::string> reserved;
  if (added != nullptr && added->is_array()) {
    for (const Json& token : added->array()) {
      const Json* content = token.find("content");
      if (content != nullptr && content->is_string()) reserved.insert(content->string());
    }
  }
  int64_t gap = 0;
  while (vocabulary.has(gap)) ++gap;
  for (int64_t id = gap; id < vocabulary.size(); ++id) {
    if (!vocabulary.has(id) || reserved.contains(std::string(vocabulary.token(id)))) continue;
    bad_input("{}: no token has the id {}, although \"{}\" has {}", where, gap, vocabulary.token(id), id);
  }
}

/// The two sides of a merge: ["a", "b"] or "a b".
std::pair<std::string_view, std::string_view> merge_sides(const Json& merge, const std::string& where) {
  if (merge.is_array() && merge.array().size() == 2 && merge.array()[0].is_string() &&
      merge.array()[1].is_string()) {
    return {merge.array()[0].string(), merge.array()[1].string()};
  }
  if (merge.is_string()) {
    const std::string_view text = merge.string();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  bad_input("{}: every merge must be two tokens, as a list or with one space between them", where);
}

std::vector<MergeRule> read_merges(const Json* json, const std::string& where, const Vocabulary& vocabulary,
                                   size_t prefix) {
  if (json == nullptr || !json->is_array()) bad_input("{}: expected a list of merges", where);
  // Two sides and what they make, merge by merge; what they make lies in `joined`.
  std::vector<std::string_view> texts;
  std::vector<size_t> ends;
  std::string joined;
  for (const Json& merge : json->array()) {
    if (merge.is_string() && merge.string().starts_with("#version")) continue;
    const auto [left, right] = merge_sides(merge, where);
    if (right.size() < prefix)
      bad_input("{}: the merge of \"{}\" and \"{}\" lacks the prefix within words", where, left, right);
    joined.append(left).append(right.substr(prefix));
    texts.insert(texts.end(), {left, right, {}});
    ends.push_back(joined.size());
  }
  for (size_t i = 0, begin = 0; i < ends.size(); begin = ends[i++])
    texts[i * 3 + 2] = std::string_view(joined).substr(begin, ends[i] - begin);
  std::vector<int32_t> ids(texts.size());
  vocabulary.find_all(texts, ids);
  const auto unknown = std::find(ids.begin(), ids.end(), Vocabulary::kNone);
  if (unknown != ids.end())
    bad_input("{}: a merge names or makes \"{}\", which is not in the vocabulary", where,
              texts[static_cast<size_t>(unknown - ids.begin())]);
  std::vector<MergeRule> merges;
  merges.reserve(ends.size());
  for (size_t i = 0; i < ids.size(); i += 3) merges.push_back({ids[i], ids[i + 1], ids[i + 2]});
  return merges;
}

/// Reads the `model` of a tokenizer.json into `parts`.
class ModelReader {
 public:
  ModelReader(const Json& json, const std::string& source, TokenizerParts& parts)
      : json_(json), where_(source + " \"model\""), fields_(json, where_), parts_(parts) {}

  void read() {
    const std::string type = fields_.has("type") ? fields_.text("type") : guess();
    // Pieces reach the model as bytes only where it is made for them.
    if (parts_.pre_tokenizers.bytes_at_end && (type != "BPE" || !takes_bytes())) {
      parts_.pre_tokenizers.parts.push_back(make_byte_level(false, false, true));
      parts_.pre_tokenizers.bytes_at_end = false;
    }
    if (type == "BPE") return read_byte_pair();
    if (type == "Unigram") return read_unigram();
    read_table();
    if (type == "WordPiece") {
      WordPieceOptions options{fields_.text("unk_token", "[UNK]"),
                               fields_.text("continuing_subword_prefix", "##"),
                               fields_.integer_within("max_input_chars_per_word", 0, INT64_MAX, 100)};
      set_unknown(options.unknown_token);
      parts_.model = make_word_piece_model(parts_.vocabulary, std::move(options));
    } else if (type == "WordLevel") {
      const std::string unknown = fields_.text("unk_token", "<unk>");
      set_unknown(unknown);
      parts_.model = make_word_level_model(parts_.vocabulary, unknown);
    } else {
      bad_input("{}: the model \"{}\" is not known; known are BPE, Unigram, WordPiece and WordLevel", where_,
                type);
    }
  }

 private:
  /// Old files have no type.
  std::string guess() const {
    if (fields_.has("merges")) return "BPE";
    if (fields_.has("max_input_chars_per_word")) return "WordPiece";
    return json_.at("vocab").is_array() ? "Unigram" : "WordLevel";
  }
  bool takes_bytes() const {
    return !fields_.boolean("byte_fallback", false) && fields_.text("continuing_subword_prefix", "").empty();
  }
  const Json& vocabulary_json() const {
    const Json* json = fields_.value("vocab");
    if (json == nullptr) bad_input("{}: \"vocab\" is missing", where_);
    return *json;
  }
  void read_table() { read_vocabulary(vocabulary_json(), where_ + " \"vocab\"", parts_.vocabulary); }
  void set_unknown(const std::string& token) {
    const int32_t id = parts_.vocabulary.find(token);
    if (id != Vocabulary::kNone) parts_.special.unk = id;
  }

  void read_byte_pair() {
    read_table();
    BytePairOptions options;
    const std::string unknown = fields_.text("unk_token", "");
    if (!unknown.empty()) {
      set_unknown(unknown);
      options.unknown = parts_.special.unk.value_or(Vocabulary::kNone);
      options.missing_unknown = options.unknown == Vocabulary::kNone ? unknown : "";
    }
    // "dropout" is for training: here the same text always gives the same tokens.
    options.fuse_unknown = fields_.boolean("fuse_unk", false);
    options.byte_fallback = fields_.boolean("byte_fallback", false);
    options.whole_words = fields_.boolean("ignore_merges", false);
    options.prefix = fields_.text("continuing_subword_prefix", "");
    options.suffix = fields_.text("end_of_word_suffix", "");
    options.bytes = parts_.pre_tokenizers.bytes_at_end;
    std::vector<MergeRule> merges = read_merges(fields_.value("merges"), where_ + " \"merges\"",
                                                parts_.vocabulary, options.prefix.size());
    parts_.model = make_byte_pair_model(parts_.vocabulary, std::move(merges), std::move(options));
  }

  void read_unigram() {
    const Json& list = vocabulary_json();
    const std::string where = where_ + " \"vocab\"";
    if (!list.is_array())
      bad_input("{}: expected a list of tokens with scores, got {}", where, list.kind_name());
    std::vector<double> scores;
    for (const Json& entry : list.array()) {
      const bool pair = entry.is_array() && entry.array().size() == 2 && entry.array()[0].is_string() &&
                        entry.array()[1].is_number();
      if (!pair) bad_input("{}: entry {} must be a token and its score", where, scores.size());
      require_text(entry.array()[0].string(), where);
      parts_.vocabulary.add_again(entry.array()[0].string(), static_cast<int64_t>(scores.size()));
      scores.push_back(entry.array()[1].real());
    }
    if (scores.empty() || static_cast<int64_t>(scores.size()) > Vocabulary::kIdLimit)
      bad_input("{}: it has {} entries", where, scores.size());
    UnigramOptions options;
    options.byte_fallback = fields_.boolean("byte_fallback", false);
    if (fields_.has("unk_id")) {
      options.unknown =
          static_cast<int32_t>(fields_.integer_within("unk_id", 0, static_cast<int64_t>(scores.size()) - 1));
      parts_.special.unk = options.unknown;
    }
    parts_.model = make_unigram_model(parts_.vocabulary, std::move(scores), options);
  }

  const Json& json_;
  std::string where_;
  Fields fields_;
  TokenizerParts& parts_;
};

/// Added tokens with their places: one that is no token of the model must come next after all others, because
/// that is where every reader of the file puts it.
AddedTokens read_added(const Json* json, const std::string& source, const TokenizerParts& parts) {
  std::vector<AddedToken> tokens;
  std::unordered_map<std::string, size_t> known;
  int64_t next = parts.vocabulary.count();
  if (json != nullptr && !json->is_null() && !json->is_array())
    bad_input("{} \"added_tokens\": expected a list, got {}", source, json->kind_name());
  for (size_t i = 0; json != nullptr && json->is_array() && i < json->array().size(); ++i) {
    const std::string where = fmt::format("{} \"added_tokens\"[{}]", source, i);
    const Json& entry = json->array()[i];
    if (!entry.is_object()) bad_input("{}: expected a table, got {}", where, entry.kind_name());
    const Fields fields(entry, where);
    AddedToken token;
    token.content = fields.text("content");
    require_text(token.content, where);
    if (token.content.empty()) continue;
    token.single_word = fields.boolean("single_word", false);
    token.lstrip = fields.boolean("lstrip", false);
    token.rstrip = fields.boolean("rstrip", false);
    token.special = fields.boolean("special", false);
    token.normalized = fields.boolean("normalized", !token.special);
    const int64_t id = fields.integer("id");
    const auto again = known.find(token.content);
    const int32_t in_model = parts.vocabulary.find(token.content);
    const int64_t place = again != known.end()            ? tokens[again->second].id
                          : in_model != Vocabulary::kNone ? in_model
                                                          : next;
    if (id != place)
      bad_input("{}: \"{}\" has the id {} here, but its place in the vocabulary is {}", where, token.content,
                id, place);
    if (place == next) ++next;
    token.id = static_cast<int32_t>(place);
    if (again != known.end()) {
      tokens[again->second] = token;
    } else {
      known.emplace(token.content, tokens.size());
      tokens.push_back(token);
    }
  }
  const auto normalise = [&parts](std::string_view text) {
    AlignedText aligned(text, 0, false);
    if (parts.normalizer != nullptr) parts.normalizer->apply(aligned);
    return aligned.text;
  };
  return {std::move(tokens), normalise, MatchOrder::kLeftmostLongest};
}

/// The id of the token that a configuration names under `key`: "<s>" or {"content": "<s>"}.
std::optional<int32_t> special_id(std::span<const Json> configurations, std::string_view key,
                                  const Tokenizer& tokenizer) {
  for (const Json& configuration : configurations) {
    const Json* value = configuration.find(key);
    if (value != nullptr && value->is_object()) value = value->find("content");
    if (value == nullptr || !value->is_string()) continue;
    if (const auto id = tokenizer.id(value->string())) return id;
  }
  return std::nullopt;
}

/// `chat_template` is a text, or a list of named ones, of which "default" counts.
std::string read_chat_template(std::span<const Json> configurations) {
  for (const Json& configuration : configurations) {
    const Json* value = configuration.find("chat_template");
    if (value == nullptr) continue;
    if (value->is_string()) return value->string();
    if (!value->is_array()) continue;
    for (const Json& entry : value->array()) {
      const Json* name = entry.find("name");
      const Json* text = entry.find("template");
      if (name != nullptr && text != nullptr && *name == Json("default") && text->is_string())
        return text->string();
    }
  }
  return {};
}

Json optional_file(const std::string& path) {
  return file_exists(path) ? Json::parse_file(path) : Json();
}

}  // namespace

Tokenizer Tokenizer::from_json(const Json& json, const std::string& source,
                               std::span<const Json> configurations) {
  if (!json.is_object()) bad_input("{}: expected a table, got {}", source, json.kind_name());
  auto parts = std::make_shared<TokenizerParts>();
  const Json nothing;
  const auto part = [&](std::string_view key) -> const Json& {
    const Json* found = json.find(key);
    return found == nullptr ? nothing : *found;
  };
  const auto where = [&](std::string_view key) { return fmt::format("{} \"{}\"", source, key); };
  parts->normalizer = read_normalizer(part("normalizer"), where("normalizer"));
  parts->pre_tokenizers = read_pre_tokenizers(part("pre_tokenizer"), where("pre_tokenizer"));
  if (!part("model").is_object())
    bad_input("{}: expected a table, got {}", where("model"), part("model").kind_name());
  ModelReader(part("model"), source, *parts).read();
  refuse_gaps(parts->vocabulary, json.find("added_tokens"), where("model"));
  parts->added = read_added(json.find("added_tokens"), source, *parts);
  parts->post_processor = read_post_processor(part("post_processor"), where("post_processor"), parts->size());
  parts->decoders = read_decoders(part("decoder"), where("decoder"));
  parts->chat_template = read_chat_template(configurations);

  const Tokenizer named(parts);
  parts->special.bos = special_id(configurations, "bos_token", named);
  parts->special.eos = special_id(configurations, "eos_token", named);
  parts->special.pad = special_id(configurations, "pad_token", named);
  if (const auto unk = special_id(configurations, "unk_token", named)) parts->special.unk = unk;
  return named;
}

Tokenizer Tokenizer::load(const std::string& directory) {
  const std::string path = directory + "/tokenizer.json";
  if (!file_exists(path))
    bad_input("{}: there is no such file; a model directory needs one for its tokenizer", path);
  std::vector<Json> configurations;
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    configurations.push_back(optional_file(directory + "/" + name));
  }
  const std::string template_path = directory + "/chat_template.jinja";
  if (file_exists(template_path)) {
    configurations.insert(configurations.begin(),
                          Json(Json::Object{{"chat_template", Json(read_file(template_path))}}));
  }
  return from_json(Json::parse_file(path), path, configurations);
}

}  // namespace martlet::text

// Reading a tokenizer from GGUF metadata, so that it gives the ids that llama.cpp gives.

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "text/gguf_words.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace martlet::text {

namespace {

constexpr int32_t kUnknownType = 2, kControlType = 3, kUserDefinedType = 4;

// Ends of turns that older files list as ordinary tokens.
constexpr std::array<std::string_view, 11> kTurnEnds = {
    "<|eot_id|>",    "<|im_end|>", "<|end|>",         "<end_of_turn>",
    "<|endoftext|>", "<|eom_id|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>",
    "<|return|>",    "<|call|>",   "<|end_of_turn|>"};

void check(const GgufVocabulary& vocabulary) {
  const size_t count = vocabulary.tokens.size();
  if (count == 0) bad_input("tokenizer.ggml.tokens: the vocabulary is empty");
  if (vocabulary.model != "gpt2" && vocabulary.model != "llama") {
    bad_input("tokenizer.ggml.model: \"{}\" is not known; known are gpt2 and llama", vocabulary.model);
  }
  if (!vocabulary.types.empty() && vocabulary.types.size() != count) {
    bad_input("tokenizer.ggml.token_type: there are {} types for {} tokens", vocabulary.types.size(), count);
  }
  if (vocabulary.model == "llama" && vocabulary.scores.size() != count) {
    bad_input("tokenizer.ggml.scores: there are {} scores for {} tokens", vocabulary.scores.size(), count);
  }
  for (size_t i = 0; i < vocabulary.scores.size(); ++i) {
    if (std::isnan(vocabulary.scores[i]))
      bad_input("tokenizer.ggml.scores: the score of token {} is not a number", i);
  }
}

void add_tokens(const GgufVocabulary& from, Vocabulary& to) {
  std::vector<std::string_view> tokens = from.tokens;
  std::deque<std::string> names;  // of tokens that are empty
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!is_valid_utf8(tokens[i])) bad_input("tokenizer.ggml.tokens: token {} is not valid UTF-8", i);
    if (tokens[i].empty()) tokens[i] = names.emplace_back(fmt::format("[EMPTY_{}]", i));
  }
  const size_t added = to.add_all(tokens);
  if (added == tokens.size()) return;
  if (const int32_t other = to.find(tokens[added]); other != Vocabulary::kNone) {
    bad_input("tokenizer.ggml.tokens: \"{}\" is both token {} and token {}", tokens[added], other, added);
  }
  bad_input("tokenizer.ggml.tokens: there are {} tokens, which is more than any vocabulary has",
            tokens.size());
}

std::optional<int32_t> read_id(const std::optional<int64_t>& id, std::string_view key,
                               std::optional<int32_t> fallback, size_t tokens) {
  if (id && (*id < 0 || *id >= static_cast<int64_t>(tokens))) {
    bad_input("tokenizer.ggml.{}_token_id: {} is outside the vocabulary of {} tokens", key, *id, tokens);
  }
  if (id) return static_cast<int32_t>(*id);
  return fallback && *fallback < static_cast<int64_t>(tokens) ? fallback : std::nullopt;
}

/// Tokens that are cut out of the text before anything else.
AddedTokens read_added(const GgufVocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  for (size_t i = 0; i < vocabulary.types.size(); ++i) {
    int32_t type = vocabulary.types[i];
    if (type != kUserDefinedType && vocabulary.tokens[i].starts_with('<') &&
        std::find(kTurnEnds.begin(), kTurnEnds.end(), vocabulary.tokens[i]) != kTurnEnds.end())
      type = kControlType;
    if ((type != kUnknownType && type != kControlType && type != kUserDefinedType) ||
        vocabulary.tokens[i].empty())
      continue;
    AddedToken token;
    token.content = vocabulary.tokens[i];
    token.id = static_cast<int32_t>(i);
    token.normalized = false;
    token.special = type != kUserDefinedType;
    tokens.push_back(std::move(token));
  }
  return {std::move(tokens), [](std::string_view text) { return std::string(text); },
          MatchOrder::kLongestFirst};
}

/// The two sides of each merge and what they make, one after the other; what they make is kept in `joined`.
std::vector<std::string_view> merge_texts(const GgufVocabulary& from, std::string& joined) {
  size_t bytes = 0;
  for (const std::string_view merge : from.merges) bytes += merge.size();
  joined.reserve(bytes);  // views of it must stay
  std::vector<std::string_view> texts;
  texts.reserve(from.merges.size() * 3);
  for (size_t i = 0; i < from.merges.size(); ++i) {
    const std::string_view merge = from.merges[i];
    const size_t space = merge.find(' ', 1);  // the left side may be a space itself
    if (merge.empty() || space == std::string_view::npos)
      bad_input("tokenizer.ggml.merges: merge {} is not two tokens with a space between", i);
    texts.push_back(merge.substr(0, space));
    texts.push_back(merge.substr(space + 1));
    const size_t begin = joined.size();
    joined.append(texts[texts.size() - 2]).append(texts.back());
    texts.push_back(std::string_view(joined).substr(begin));
  }
  return texts;
}

std::vector<MergeRule> read_merges(const GgufVocabulary& from, const Vocabulary& vocabulary) {
  std::string joined;
  const std::vector<std::string_view> texts = merge_texts(from, joined);
  std::vector<int32_t> ids(texts.size());
  vocabulary.find_all(texts, ids);
  std::vector<MergeRule> merges;
  merges.reserve(from.merges.size());
  for (size_t i = 0; i < ids.size(); i += 3) {
    for (size_t side = i; side < i + 3; ++side) {
      if (ids[side] < 0)
        bad_input("tokenizer.ggml.merges: merge {} names or makes \"{}\", which is not in the vocabulary",
                  i / 3, texts[side]);
    }
    merges.push_back({ids[i], ids[i + 1], ids[i + 2]});
  }
  return merges;
}

void read_byte_level(const GgufVocabulary& from, TokenizerParts& parts, bool& adds_bos) {
  const GgufWords words = gguf_words(from.pre);
  adds_bos = words.adds_bos;
  for (const std::string_view expression : words.expressions) {
    parts.pre_tokenizers.parts.push_back(
        make_split(Pattern::regex(expression, "tokenizer.ggml.pre"), SplitBehaviour::kIsolated, false));
  }
  BytePairOptions options;
  options.bytes = true;
  options.whole_words = words.whole_words;
  options.first_merge_counts = true;
  parts.model =
      make_byte_pair_model(parts.vocabulary, read_merges(from, parts.vocabulary), std::move(options));
  parts.decoders.push_back(make_byte_level_decoder());
}

void read_sentence_piece(const GgufVocabulary& from, TokenizerParts& parts) {
  const std::string marked_space = "\xE2\x96\x81";
  const bool prefix = from.add_space_prefix.value_or(true);
  std::vector<std::unique_ptr<Normalizer>> normalizers;
  if (prefix) normalizers.push_back(make_prepend(" "));
  normalizers.push_back(make_replace(" ", marked_space));
  parts.normalizer = make_sequence(std::move(normalizers));
  parts.model =
      make_score_merge_model(parts.vocabulary, from.scores, parts.special.unk.value_or(Vocabulary::kNone));
  parts.decoders = make_sentence_piece_decoders(prefix);
}

}  // namespace

Tokenizer Tokenizer::from_gguf(const GgufVocabulary& from) {
  check(from);
  auto parts = std::make_shared<TokenizerParts>();
  add_tokens(from, parts->vocabulary);
  const bool sentence_piece = from.model == "llama";
  const auto fallback = [&](int32_t id) { return sentence_piece ? std::optional(id) : std::nullopt; };
  const size_t count = from.tokens.size();
  parts->special.bos = read_id(from.bos, "bos", fallback(1), count);
  parts->special.eos = read_id(from.eos, "eos", fallback(2), count);
  parts->special.unk = read_id(from.unk, "unknown", fallback(0), count);
  parts->special.pad = read_id(from.pad, "padding", std::nullopt, count);
  parts->chat_template = from.chat_template;
  parts->added = read_added(from);
  bool adds_bos = sentence_piece;
  if (sentence_piece) {
    read_sentence_piece(from, *parts);
  } else {
    read_byte_level(from, *parts, adds_bos);
  }

  std::vector<PostProcessor::Part> around;
  if (from.add_bos.value_or(adds_bos)) {
    if (!parts->special.bos)
      bad_input(
          "tokenizer.ggml.add_bos_token: a beginning is to be added, but tokenizer.ggml.bos_token_id is "
          "missing");
    around.push_back({false, {*parts->special.bos}});
  }
  around.push_back({true, {}});
  if (from.add_eos.value_or(false)) {
    if (!parts->special.eos)
      bad_input(
          "tokenizer.ggml.add_eos_token: an end is to be added, but tokenizer.ggml.eos_token_id is missing");
    around.push_back({false, {*parts->special.eos}});
  }
  parts->post_processor = PostProcessor(std::move(around));
  return Tokenizer(parts);
}

}  // namespace martlet::text

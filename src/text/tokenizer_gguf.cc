// Reading a tokenizer from GGUF metadata, so that it gives the ids that llama.cpp gives.

#include <array>
#include <cmath>
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
  size_t bytes = 0;
  for (const std::string& token : from.tokens) bytes += token.size() + 16;
  to.reserve(from.tokens.size(), bytes);
  for (size_t i = 0; i < from.tokens.size(); ++i) {
    const std::string& token = from.tokens[i];
    if (!is_valid_utf8(token)) bad_input("tokenizer.ggml.tokens: token {} is not valid UTF-8", i);
    if (to.add(token.empty() ? fmt::format("[EMPTY_{}]", i) : token, static_cast<int64_t>(i))) continue;
    if (const int32_t other = to.find(token); other != Vocabulary::kNone) {
      bad_input("tokenizer.ggml.tokens: \"{}\" is both token {} and token {}", token, other, i);
    }
    bad_input("tokenizer.ggml.tokens: there are {} tokens, which is more than any vocabulary has",
              from.tokens.size());
  }
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
    for (const std::string_view end : kTurnEnds) {
      if (vocabulary.tokens[i] == end && type != kUserDefinedType) type = kControlType;
    }
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

std::vector<MergeRule> read_merges(const GgufVocabulary& from, const Vocabulary& vocabulary) {
  std::vector<MergeRule> merges;
  merges.reserve(from.merges.size());
  PairTable known(from.merges.size());
  for (size_t i = 0; i < from.merges.size(); ++i) {
    const std::string_view merge = from.merges[i];
    const size_t space = merge.find(' ', 1);  // the left side may be a space itself
    if (merge.empty() || space == std::string_view::npos)
      bad_input("tokenizer.ggml.merges: merge {} is not two tokens with a space between", i);
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    const std::string whole = std::string(left) + std::string(right);
    const MergeRule rule{vocabulary.find(left), vocabulary.find(right), vocabulary.find(whole)};
    if (rule.left < 0 || rule.right < 0 || rule.merged < 0) {
      bad_input("tokenizer.ggml.merges: merge {} names or makes \"{}\", which is not in the vocabulary", i,
                rule.left < 0    ? left
                : rule.right < 0 ? right
                                 : std::string_view(whole));
    }
    if (known.find(rule.left, rule.right) != PairTable::kNone) continue;  // the first of equal merges counts
    known.set(rule.left, rule.right, 0);
    merges.push_back(rule);
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

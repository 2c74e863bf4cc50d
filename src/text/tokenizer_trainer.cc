#include "text/tokenizer_trainer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/normalizers.h"
#include "text/pre_tokenizers.h"

namespace martlet::text {

namespace {

Json byte_level_part(bool split_words) {
  return Json(Json::Object{{"type", Json("ByteLevel")},
                           {"add_prefix_space", Json(false)},
                           {"trim_offsets", Json(true)},
                           {"use_regex", Json(split_words)}});
}

Json model_part(const Json& unknown, bool byte_fallback) {
  return Json(Json::Object{{"type", Json("BPE")},
                           {"dropout", Json()},
                           {"unk_token", unknown},
                           {"continuing_subword_prefix", Json()},
                           {"end_of_word_suffix", Json()},
                           {"fuse_unk", Json(byte_fallback)},
                           {"byte_fallback", Json(byte_fallback)},
                           {"ignore_merges", Json(false)}});
}

Json skeleton_of(Json pre_tokenizer, Json decoder, Json model) {
  return Json(Json::Object{{"version", Json("1.0")},
                           {"truncation", Json()},
                           {"padding", Json()},
                           {"added_tokens", Json(Json::Array{})},
                           {"normalizer", Json()},
                           {"pre_tokenizer", std::move(pre_tokenizer)},
                           {"post_processor", Json()},
                           {"decoder", std::move(decoder)},
                           {"model", std::move(model)}});
}

Json vocabulary_of(const std::vector<std::string>& tokens) {
  Json::Object vocabulary;
  vocabulary.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id)
    vocabulary.emplace_back(tokens[id], Json(static_cast<int64_t>(id)));
  return Json(std::move(vocabulary));
}

Json merges_of(const TrainedMerges& trained) {
  Json::Array merges;
  merges.reserve(trained.merges.size());
  const auto token = [&](int32_t id) { return Json(trained.tokens[static_cast<size_t>(id)]); };
  for (const MergeRule& merge : trained.merges)
    merges.emplace_back(Json::Array{token(merge.left), token(merge.right)});
  return Json(std::move(merges));
}

Json added_tokens_of(const std::vector<std::string>& tokens) {
  Json::Array added;
  for (size_t id = 0; id < tokens.size(); ++id) {
    added.emplace_back(Json::Object{{"id", Json(static_cast<int64_t>(id))},
                                    {"content", Json(tokens[id])},
                                    {"single_word", Json(false)},
                                    {"lstrip", Json(false)},
                                    {"rstrip", Json(false)},
                                    {"normalized", Json(false)},
                                    {"special", Json(true)}});
  }
  return Json(std::move(added));
}

}  // namespace

TokenizerDesign byte_level_design(WordPattern pattern, std::vector<std::string> special_tokens) {
  Json cut = byte_level_part(pattern == WordPattern::kGpt2);
  if (pattern != WordPattern::kGpt2) {
    Json split(Json::Object{{"type", Json("Split")},
                            {"pattern", Json(Json::Object{{"Regex", Json(expression_of(pattern))}})},
                            {"behavior", Json("Isolated")},
                            {"invert", Json(false)}});
    cut = Json(Json::Object{{"type", Json("Sequence")},
                            {"pretokenizers", Json(Json::Array{std::move(split), std::move(cut)})}});
  }
  TokenizerDesign design;
  design.skeleton = skeleton_of(std::move(cut), byte_level_part(true), model_part(Json(), false));
  design.special_tokens = std::move(special_tokens);
  design.alphabet.assign(byte_alphabet().begin(), byte_alphabet().end());
  return design;
}

TokenizerDesign sentence_piece_design(std::vector<std::string> special_tokens) {
  if (special_tokens.empty()) bad_input("a tokenizer of this kind needs a special token for the unknown");
  TokenizerDesign design;
  design.skeleton = skeleton_of(
      Json::parse(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true})",
                  "design"),
      Json::parse(R"({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})",
                  "design"),
      model_part(Json(special_tokens.front()), true));
  design.special_tokens = std::move(special_tokens);
  for (int byte = 0; byte < 256; ++byte) design.first_tokens.push_back(fmt::format("<0x{:02X}>", byte));
  return design;
}

struct TokenizerTrainer::Parts {
  TokenizerDesign design;
  BpeTrainerOptions options;
  std::unique_ptr<Normalizer> normalizer;
  PreTokenizerChain pre_tokenizers;
  std::vector<WordCounts> counts;  // one a thread

  void count_words(std::string_view text, WordCounts& into) const;
};

void TokenizerTrainer::Parts::count_words(std::string_view text, WordCounts& into) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = replace_invalid_utf8(text);
  if (text.empty()) return;
  // Nothing is cut out of the text before, so that a piece that stands at its beginning says so untracked.
  AlignedText normal({}, 0, false);
  Piece piece{text, nullptr, 0, false};
  if (normalizer != nullptr && normalizer->may_change(text)) {
    normal = AlignedText(text, 0, false);
    normalizer->apply(normal);
    if (normal.text.empty()) return;
    piece.text = normal.text;
  }
  pre_tokenizers.split(piece, [&](const Piece& word) { into.add(word.text); });
}

TokenizerTrainer::TokenizerTrainer(TokenizerDesign design, BpeTrainerOptions options)
    : parts_(std::make_unique<Parts>()) {
  std::vector<std::string> names = design.special_tokens;
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    bad_input("the special token \"{}\" is named twice", *twice);
  const Json nothing;
  const auto part = [&](std::string_view key) -> const Json& {
    const Json* found = design.skeleton.find(key);
    return found == nullptr ? nothing : *found;
  };
  parts_->normalizer = read_normalizer(part("normalizer"), "\"normalizer\"");
  parts_->pre_tokenizers = read_pre_tokenizers(part("pre_tokenizer"), "\"pre_tokenizer\"");
  options.bytes = parts_->pre_tokenizers.bytes_at_end;
  options.first_tokens = design.special_tokens;
  options.first_tokens.insert(options.first_tokens.end(), design.first_tokens.begin(),
                              design.first_tokens.end());
  options.alphabet = design.alphabet;
  parts_->options = std::move(options);
  parts_->design = std::move(design);
  parts_->counts.resize(1);
}

TokenizerTrainer::~TokenizerTrainer() = default;

void TokenizerTrainer::add(std::span<const std::string_view> texts) {
  std::vector<WordCounts>& counts = parts_->counts;
  counts.resize(std::max(counts.size(), static_cast<size_t>(thread_count())));
  const size_t lanes = counts.size();
  parallel_for(static_cast<int64_t>(lanes), 1, [&](int64_t begin, int64_t end) {
    for (auto lane = static_cast<size_t>(begin); lane < static_cast<size_t>(end); ++lane) {
      for (size_t i = texts.size() * lane / lanes; i < texts.size() * (lane + 1) / lanes; ++i)
        parts_->count_words(texts[i], counts[lane]);
    }
  });
}

Json TokenizerTrainer::train(Progress& progress) {
  std::vector<WordCounts>& counts = parts_->counts;
  for (size_t lane = 1; lane < counts.size(); ++lane) {
    counts[0].add(counts[lane]);
    counts[lane] = {};
  }
  const TrainedMerges trained = train_byte_pairs(counts[0], parts_->options, progress);
  Json json = parts_->design.skeleton;
  Json model = json.at("model");
  model.set("vocab", vocabulary_of(trained.tokens));
  model.set("merges", merges_of(trained));
  json.set("model", std::move(model));
  json.set("added_tokens", added_tokens_of(parts_->design.special_tokens));
  return json;
}

}  // namespace martlet::text

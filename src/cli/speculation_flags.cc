#include "cli/speculation_flags.h"

#include <algorithm>

#include "base/error.h"
#include "base/human.h"
#include "cli/model_flags.h"
#include "cli/store.h"
#include "infer/ngram_drafter.h"
#include "nn/decoder.h"
#include "plan/catalogue.h"

namespace martlet::cli {
namespace {

/// Of "early" or "early:N".
std::shared_ptr<nn::Model> first_layers_of(const nn::Model& tree, std::string_view text) {
  const auto* decoder = dynamic_cast<const nn::DecoderModel*>(&tree);
  if (decoder == nullptr)
    bad_input("--speculate early wants a model of blocks in a row, and this is {}", tree.kind());
  int64_t layers = std::max<int64_t>(1, tree.shape().layers / 3);
  if (const size_t colon = text.find(':'); colon != text.npos) {
    const std::optional<int64_t> given = parse_count(text.substr(colon + 1));
    if (!given) fail(ErrorCode::kUsage, "--speculate early:N wants a number of layers, got '{}'", text);
    layers = *given;
  }
  return decoder->first_layers(layers);
}

/// What `open` gives, whose errors also tell what else may stand there.
template <typename Open>
auto draft_model(Open&& open) {
  try {
    return open();
  } catch (Error& error) {
    throw error.within("--speculate takes off, ngram, early, early:N or a model");
  }
}

}  // namespace

void SpeculationFlags::declare(Options& options) {
  options
      .text("--speculate", "off|ngram|early[:N]|MODEL", speculate_,
            "guess tokens ahead, from the text so far, with the model's own first N layers (a third of them) "
            "or with a smaller model; the reply stays the same")
      .count("--draft", "N", draft_, "tokens guessed at once, at most", 1, 256);
}

void SpeculationFlags::open(const std::string& path,
                            const std::optional<models::WeightCachePlace>& weight_cache) {
  if (!is_on() || speculate_ == "ngram" || is_early()) return;
  const auto draft = draft_model([&] { return models::tree_without_weights(resolve_model(speculate_)); });
  const int64_t wanted = models::tree_without_weights(path)->shape().vocabulary_size;
  const int64_t got = draft->shape().vocabulary_size;
  if (wanted != got || !draft->shape().generates)
    bad_input("--speculate wants a model that predicts the same {} tokens, and {} has {}", wanted, speculate_,
              got);
  models::OpenOptions options{plan::rewrites()};
  options.rewrites_of_packed = rewrites_of_packed();
  options.rewrites_of_bf16 = rewrites_of_bf16();
  options.weight_cache = weight_cache;
  draft_model_ = draft_model([&] { return infer::LanguageModel::load(resolve_model(speculate_), options); });
}

int64_t SpeculationFlags::memory(const plan::RunGoal& goal) const {
  return draft_model_ ? plan::forecast_memory(draft_model_->files().tree, goal).total_bytes() : 0;
}

void SpeculationFlags::apply(const nn::Model& tree, infer::GenerationOptions& generation) {
  if (!is_on()) return;
  generation.draft_tokens = draft_;
  if (speculate_ == "ngram") {
    generation.drafter = [] { return std::make_unique<infer::NgramDrafter>(); };
    return;
  }
  if (is_early()) {
    first_layers_ = first_layers_of(tree, speculate_);
    generation.drafter = [this] { return std::make_unique<infer::EarlyDrafter>(*first_layers_); };
    return;
  }
  generation.drafter = [this] { return std::make_unique<infer::ModelDrafter>(draft_model_->tree()); };
}

}  // namespace martlet::cli

#include "cli/speculation_flags.h"

#include "base/error.h"
#include "cli/model_flags.h"
#include "cli/store.h"
#include "plan/catalogue.h"

namespace martlet::cli {

void SpeculationFlags::declare(Options& options) {
  options
      .text("--speculate", "off|ngram|MODEL", speculate_,
            "guess tokens ahead, from the text so far or with a smaller model; the reply stays the same")
      .count("--draft", "N", draft_, "tokens guessed at once, at most", 1, 256);
}

void SpeculationFlags::apply(const infer::LanguageModel& model, infer::GenerationOptions& generation) {
  if (!is_on()) return;
  generation.draft_tokens = draft_;
  if (speculate_ == "ngram") {
    generation.drafter = [] { return std::make_unique<infer::NgramDrafter>(); };
    return;
  }
  models::OpenOptions options{plan::rewrites()};
  options.rewrites_of_packed = rewrites_of_packed();
  draft_model_ = infer::LanguageModel::load(resolve_model(speculate_), options);
  const int64_t wanted = model.tree().shape().vocabulary_size;
  const int64_t got = draft_model_->tree().shape().vocabulary_size;
  if (wanted != got || !draft_model_->tree().shape().generates)
    bad_input("--speculate wants a model that predicts the same {} tokens, and {} has {}", wanted, speculate_,
              got);
  generation.drafter = [this] { return std::make_unique<infer::ModelDrafter>(draft_model_->tree()); };
}

}  // namespace martlet::cli

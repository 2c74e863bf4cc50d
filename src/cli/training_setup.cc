#include "cli/training_setup.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "cli/chat_format.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "data/source.h"
#include "data/tokenise.h"
#include "infer/language_model.h"
#include "nn/tree.h"
#include "ops/cast.h"
#include "plan/catalogue.h"
#include "train/initialise.h"
#include "train/model_shape.h"

namespace martlet::cli {
namespace {

data::DocumentEncoder encoder_of(const std::string& tokenizer, int64_t vocabulary) {
  const data::EncodeRules rules{.vocabulary = vocabulary};
  if (tokenizer.empty()) return data::DocumentEncoder(rules);
  return data::DocumentEncoder(infer::load_tokenizer(tokenizer), load_chat_format(tokenizer), rules);
}

models::OpenModel new_model(const TrainRequest& r) {
  int64_t vocabulary = 0;
  if (!r.tokenizer.empty()) {
    vocabulary = infer::load_tokenizer(resolve_model(r.tokenizer)).vocabulary_size();
  } else {
    for (const std::string& word : r.data)
      if (is_directory(word) && data::is_token_set(word))
        vocabulary = std::max(vocabulary, data::TokenSet::open(word).vocabulary_size());
    if (vocabulary == 0)
      fail(ErrorCode::kUsage, "a new model needs --tokenizer MODEL, or data that is tokens already");
  }
  models::OpenModel model;
  model.config = train::model_config(r.shape, vocabulary, r.batches.seq);
  model.family = &models::family_named("llama");
  model.tree = model.family->build(Fields(model.config, "--model " + r.shape));
  train::initialise(*model.tree, static_cast<uint64_t>(r.seed));
  return model;
}

}  // namespace

std::string tokenizer_path(const TrainRequest& r, const models::OpenModel& model) {
  if (!r.tokenizer.empty()) return resolve_model(r.tokenizer);
  const bool has_own = model.gguf.has_value() || !model.files.tokenizer.empty();
  return has_own ? model.files.path : "";
}

std::vector<data::TokenSet> token_sets(const TrainRequest& r, const std::string& tokenizer,
                                       int64_t vocabulary, const std::string& folder) {
  std::vector<data::TokenSet> sets;
  std::vector<std::string> words;
  for (const std::string& word : r.data) {
    if (is_directory(word) && data::is_token_set(word))
      sets.push_back(data::TokenSet::open(word));
    else
      words.push_back(word);
  }
  if (!words.empty()) {
    if (!r.run.resume || !data::is_token_set(folder)) {
      data::ReadReport report;
      data::Corpus corpus(words, {}, report);
      const auto progress = make_progress();
      data::tokenise(corpus, encoder_of(tokenizer, vocabulary), folder, {}, *progress);
    }
    sets.push_back(data::TokenSet::open(folder));
  }
  for (const data::TokenSet& set : sets)
    if (set.vocabulary_size() > vocabulary)
      bad_input("the data has token ids up to {} and the model a vocabulary of {}", set.vocabulary_size() - 1,
                vocabulary);
  return sets;
}

models::OpenModel open_to_train(const TrainRequest& r) {
  models::OpenModel model =
      r.init.empty() ? new_model(r) : models::open_model(resolve_model(r.init), {plan::rewrites(), {}, {}});
  if (!model.tree->shape().generates) bad_input("{} has no head that predicts tokens", r.init);
  if (const int64_t limit = model.tree->shape().max_positions; limit > 0 && r.batches.seq > limit)
    bad_input("--seq {} is longer than the model's context of {}", r.batches.seq, limit);
  const OwnerScope owner(Owner::kWeights);
  nn::walk_parameters(*model.tree, [](const std::string&, nn::Parameter& parameter) {
    if (parameter.requires_gradient()) return;  // tied, and seen before
    // Mapped, packed or narrow values become f32 of this process's own.
    parameter.set(parameter.shape().rank() == 2 ? parameter.weight().unpack().clone()
                                                : ops::cast(parameter.tensor(), DType::kF32).clone());
    parameter.require_gradient();
  });
  return model;
}

}  // namespace martlet::cli

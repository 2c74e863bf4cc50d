#include "cli/training_setup.h"

#include <algorithm>
#include <cstdio>

#include "autograd/record.h"
#include "base/error.h"
#include "base/files.h"
#include "cli/chat_format.h"
#include "cli/model_flags.h"
#include "cli/reading_notes.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "cli/train_planning.h"
#include "compress/bf16_activations.h"
#include "data/source.h"
#include "data/tokenise.h"
#include "infer/language_model.h"
#include "models/gguf_vocabulary.h"
#include "nn/tree.h"
#include "ops/cast.h"
#include "plan/catalogue.h"
#include "train/balance_experts.h"
#include "train/initialise.h"
#include "train/model_shape.h"

namespace martlet::cli {
namespace {

bool is_tokens(const std::string& word) {
  return is_directory(word) && data::is_token_set(word);
}

data::DocumentEncoder encoder_of(const std::string& tokenizer, int64_t vocabulary) {
  const data::EncodeRules rules{.vocabulary = vocabulary};
  if (tokenizer.empty()) return data::DocumentEncoder(rules);
  return data::DocumentEncoder(infer::load_tokenizer(tokenizer), load_chat_format(tokenizer), rules);
}

/// Memory for a value, which nobody has touched.
Tensor room_for(const nn::Parameter& parameter) {
  const OwnerScope owner(Owner::kWeights);
  return Tensor::empty(parameter.shape(), DType::kF32);
}

models::OpenModel new_model(const TrainRequest& r, Values values) {
  int64_t vocabulary = 0;
  if (!r.tokenizer.empty()) {
    vocabulary = infer::load_tokenizer(resolve_model(r.tokenizer)).vocabulary_size();
  } else {
    for (const std::string& word : r.data)
      if (is_tokens(word)) vocabulary = std::max(vocabulary, data::TokenSet::open(word).vocabulary_size());
    if (vocabulary == 0)
      fail(ErrorCode::kUsage, "a new model needs --tokenizer MODEL, or data that is tokens already");
  }
  models::OpenModel model;
  model.config = train::model_config(r.shape, vocabulary, r.batches.seq);
  model.family = &models::family_named("llama");
  model.tree = model.family->build(Fields(model.config, "--model " + r.shape));
  refuse_too_large(*model.tree, memory_for(r));
  if (values == Values::kReal)
    train::initialise(*model.tree, static_cast<uint64_t>(r.seed));
  else
    nn::walk_parameters(*model.tree,
                        [](const std::string&, nn::Parameter& each) { each.set(room_for(each)); });
  for (const nn::RewriteRequest& request : rewrites_of(r.rewrites))
    nn::apply_rewrite(model.tree, request, plan::rewrites(), model.rewrites, {nullptr, r.skip});
  return model;
}

void check_vocabulary(const std::vector<data::TokenSet>& sets, int64_t vocabulary) {
  for (const data::TokenSet& set : sets)
    if (set.vocabulary_size() > vocabulary)
      bad_input("the data has token ids up to {} and the model a vocabulary of {}", set.vocabulary_size() - 1,
                vocabulary);
}

/// Folders of tokens as they are, all other words made into `folder`, or taken from there when a run goes on.
std::vector<data::TokenSet> sets_of(const std::vector<std::string>& words, const TrainRequest& r,
                                    const data::DocumentEncoder& encoder, const std::string& folder,
                                    const data::TokeniseOptions& options) {
  std::vector<data::TokenSet> sets;
  std::vector<std::string> others;
  for (const std::string& word : words) {
    if (is_tokens(word))
      sets.push_back(data::TokenSet::open(word));
    else
      others.push_back(word);
  }
  if (!others.empty()) {
    if (!r.run.resume || !data::is_token_set(folder)) {
      data::ReadReport report;
      data::Corpus corpus(others, {}, report);
      const auto progress = make_progress();
      data::tokenise(corpus, encoder, folder, options, *progress);
      for (const std::string& note : reading_notes(report))
        std::fprintf(stderr, "martlet: %s\n", note.c_str());
    }
    sets.push_back(data::TokenSet::open(folder));
  }
  check_vocabulary(sets, encoder.vocabulary_size());
  return sets;
}

/// As transformers has it: a config that says output_router_logits asks for the loss that balances experts.
void balance_if_config_says(const TrainRequest& r, models::OpenModel& model) {
  const Fields config(model.config, "config.json");
  if (!model.family->has_experts || !config.boolean("output_router_logits", false)) return;
  if (train::expert_balance_of(*model.tree) != nullptr) return;
  nn::apply_rewrite(model.tree,
                    {std::string(train::kBalanceExperts.name),
                     Json().set("coefficient", config.real("router_aux_loss_coef", 0.001))},
                    plan::rewrites(), model.rewrites, {nullptr, r.skip});
}

}  // namespace

std::string tokenizer_path(const TrainRequest& r, const models::OpenModel& model) {
  if (!r.tokenizer.empty()) return resolve_model(r.tokenizer);
  const bool has_own = model.gguf ? models::has_vocabulary(*model.gguf) : !model.files.tokenizer.empty();
  return has_own ? model.files.path : "";
}

std::vector<data::TokenSet> token_sets(const TrainRequest& r, const std::string& tokenizer,
                                       int64_t vocabulary, const std::string& folder) {
  return sets_of(r.data, r, encoder_of(tokenizer, vocabulary), folder, {.validation = r.validation});
}

std::vector<data::TokenSet> held_out_sets(const TrainRequest& r, const std::string& tokenizer,
                                          int64_t vocabulary, const std::string& folder) {
  if (!r.eval_data.empty())
    return sets_of(r.eval_data, r, encoder_of(tokenizer, vocabulary), folder + "-eval", {});
  std::vector<data::TokenSet> sets;
  const auto add = [&](const std::string& set) {
    if (data::is_token_set(set + "/validation")) sets.push_back(data::TokenSet::open(set + "/validation"));
  };
  for (const std::string& word : r.data)
    if (is_tokens(word)) add(word);
  add(folder);
  if (sets.empty() && r.validation > 0)
    bad_input(
        "there are too few documents for --validation {}: none fell to the held-out part; give --eval-data "
        "F, "
        "or the text in more documents",
        r.validation);
  if (sets.empty())
    fail(ErrorCode::kUsage, "there is no held-out data to evaluate; give --validation 0.05 or --eval-data F");
  check_vocabulary(sets, vocabulary);
  return sets;
}

std::function<std::string()> sampler_of(const TrainRequest& r, const models::OpenModel& model,
                                        const std::string& tokenizer) {
  if (r.run.sample_every == 0) return {};
  if (tokenizer.empty()) fail(ErrorCode::kUsage, "samples need a tokenizer; give --tokenizer MODEL");
  auto words = std::make_shared<const text::Tokenizer>(infer::load_tokenizer(tokenizer));
  infer::GenerationOptions options;
  options.max_new_tokens = r.sample_tokens;
  // Not the most probable token alone, which a young model repeats without end.
  options.sampling.temperature = 0.8;
  options.sampling.seed = static_cast<uint64_t>(r.seed);
  if (const std::optional<int32_t> end = words->eos()) options.stop_ids = {*end};
  std::vector<std::vector<int32_t>> prompts{words->encode(r.sample_prompt)};
  return [words, options, prompts, tree = model.tree.get()] {
    const autograd::NoGradient no_gradient;
    std::vector<int32_t> ids = prompts.front();
    const std::vector<int32_t> said = infer::generate(*tree, prompts, options).front().ids;
    ids.insert(ids.end(), said.begin(), said.end());
    return words->decode(ids);
  };
}

models::OpenModel opened_to_train(const TrainRequest& r) {
  models::OpenOptions options{plan::rewrites(), rewrites_of(r.rewrites), r.skip};
  // Of frozen weights: what is trained beside them learns from products as they are.
  options.skip.emplace_back(compress::kBF16Activations.name);
  return models::open_model(resolve_model(r.init), options);
}

models::OpenModel open_to_train(const TrainRequest& r, Values values) {
  models::OpenModel model = r.init.empty() ? new_model(r, values) : opened_to_train(r);
  if (!r.init.empty()) refuse_too_large(*model.tree, memory_for(r));
  if (!model.tree->shape().generates) bad_input("{} has no head that predicts tokens", r.init);
  balance_if_config_says(r, model);
  if (const int64_t limit = model.tree->shape().max_positions; limit > 0 && r.batches.seq > limit)
    bad_input("--seq {} is longer than the model's context of {}", r.batches.seq, limit);
  const OwnerScope owner(Owner::kWeights);
  nn::walk_parameters(*model.tree, [values](const std::string&, nn::Parameter& parameter) {
    // Tied, and seen before; or frozen, and as it was stored.
    if (parameter.requires_gradient() || parameter.is_frozen()) return;
    // Mapped, packed or narrow values become f32 of this process's own.
    if (values == Values::kNone)
      parameter.set(room_for(parameter));
    else
      parameter.set(parameter.shape().rank() == 2 ? parameter.weight().unpack().clone()
                                                  : ops::cast(parameter.tensor(), DType::kF32).clone());
    parameter.require_gradient();
  });
  return model;
}

}  // namespace martlet::cli

#pragma once

// All of a run that a test needs: a LLaMA of a few thousand parameters and documents whose next id follows
// from the one before by a rule, so that there is something to learn.

#include <functional>
#include <memory>
#include <vector>

#include "base/random.h"
#include "data/sample_tokens.h"
#include "nn/tree.h"
#include "support/random_model.h"
#include "train/run.h"

namespace martlet::train {

/// Documents of ids below 97, each 3 times the one before and a bit.
inline std::vector<data::Document> rule_documents(uint64_t seed, int64_t count) {
  const Philox random(seed);
  std::vector<data::Document> documents;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int32_t> ids{static_cast<int32_t>(random.below(static_cast<uint64_t>(2 * i), 97))};
    const uint64_t length = 5 + random.below(static_cast<uint64_t>(2 * i + 1), 30);
    while (ids.size() < length) ids.push_back((ids.back() * 3 + static_cast<int32_t>(ids.size() % 2)) % 97);
    documents.push_back(data::ids_document(std::move(ids)));
  }
  return documents;
}

struct SmallRun {
  /// Everything equal for equal arguments, the tokens aside, which are written to `folder`; `model_seed` 0:
  /// as `seed`. `rewrite` changes the model before the trainer sees it.
  SmallRun(const std::string& folder, uint64_t seed, const TrainerOptions& options = {},
           const std::string& optimizer = "adamw", uint64_t model_seed = 0,
           const std::function<void(nn::Model&)>& rewrite = {})
      : model(testing::random_llama(model_seed == 0 ? seed : model_seed)),
        batches({data::token_set_of(rule_documents(seed, 50), folder)},
                {.seq = 16, .batch = 3, .seed = seed}) {
    if (rewrite) rewrite(*model);
    nn::walk_parameters(*model, [](const std::string&, nn::Parameter& parameter) {
      if (!parameter.requires_gradient()) parameter.require_gradient();
    });
    trainer = std::make_unique<Trainer>(*model, batches,
                                        make_optimizer(optimizer, trained_parameters(*model), {}), options);
  }

  /// Every value of every parameter, in the order of the tree.
  std::vector<float> values() const {
    std::vector<float> all;
    nn::walk_parameters(*model, [&](const std::string&, nn::Parameter& parameter) {
      const std::vector<float> some = parameter.tensor().detach().to_vector<float>();
      all.insert(all.end(), some.begin(), some.end());
    });
    return all;
  }

  std::shared_ptr<nn::Model> model;
  data::Batches batches;
  std::unique_ptr<Trainer> trainer;
};

}  // namespace martlet::train

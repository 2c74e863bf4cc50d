#pragma once

#include "nn/batch.h"
#include "nn/roles.h"

namespace martlet::infer {

/// A model, and how many tokens it has read.
class CountingModel final : public nn::Model {
 public:
  explicit CountingModel(nn::Model& model) : model_(model) {}
  std::string_view kind() const override { return "CountingModel"; }
  const nn::ModelShape& shape() const override { return model_.shape(); }
  Tensor hidden(const nn::Batch& batch) override {
    tokens += batch.token_count();
    return model_.hidden(batch);
  }
  Tensor last_hidden(const nn::Batch& batch) override {
    tokens += batch.token_count();
    return model_.last_hidden(batch);
  }
  Tensor logits(const Tensor& hidden) override { return model_.logits(hidden); }

  int64_t tokens = 0;

 private:
  nn::Model& model_;
};

}  // namespace martlet::infer

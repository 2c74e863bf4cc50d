#include "support/gradients.h"

#include "autograd/backward.h"
#include "base/random.h"
#include "nn/tree.h"
#include "ops/cross_entropy.h"
#include "support/random_model.h"

namespace martlet::testing {
namespace {

void run_backward(nn::Model& model, const std::vector<std::vector<int32_t>>& sequences) {
  nn::Batch batch;
  std::vector<int64_t> targets;
  for (const std::vector<int32_t>& ids : sequences) {
    batch.add(std::span(ids).first(ids.size() - 1));
    targets.insert(targets.end(), ids.begin() + 1, ids.end());
  }
  const Tensor hidden = model.hidden(batch);
  if (model.shape().generates) {
    autograd::backward(ops::cross_entropy(model.logits(hidden),
                                          Tensor::from(targets, {static_cast<int64_t>(targets.size())}),
                                          ops::LossReduction::kSum));
    return;
  }
  std::vector<float> factors(static_cast<size_t>(hidden.element_count()));
  for (size_t i = 0; i < factors.size(); ++i) factors[i] = static_cast<float>(Philox(3, 1).normal(i));
  autograd::backward(hidden, Tensor::from(factors, hidden.shape()));
}

}  // namespace

std::vector<std::pair<std::string, Json>> family_configs() {
  const auto config = [](std::string_view text) { return Json::parse(text, "config"); };
  Json tied = small_llama_config();
  tied.set("tie_word_embeddings", true).set("attention_bias", true).set("mlp_bias", true);
  return {
      {"llama", small_llama_config()},
      {"llama, tied, with biases", tied},
      {"qwen3, norms of queries and keys",
       config(R"({"model_type": "qwen3", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 48,
         "max_position_embeddings": 64})")},
      {"gpt2", config(R"({"model_type": "gpt2", "vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4,
         "n_positions": 64})")},
      {"gemma3",
       config(R"({"model_type": "gemma3_text", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 48,
         "max_position_embeddings": 64, "query_pre_attn_scalar": 16, "sliding_window": 4,
         "layer_types": ["sliding_attention", "full_attention"]})")},
      {"bert", config(R"({"model_type": "bert", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2,
         "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 64})")},
  };
}

void require_gradients(nn::Model& model) {
  nn::walk_parameters(model, [](const std::string&, nn::Parameter& parameter) {
    if (!parameter.requires_gradient() && !parameter.is_frozen()) parameter.require_gradient();
  });
}

std::map<std::string, std::vector<float>> gradients_of(nn::Model& model,
                                                       const std::vector<std::vector<int32_t>>& sequences) {
  run_backward(model, sequences);
  std::map<std::string, std::vector<float>> gradients;
  nn::walk_parameters(model, [&](const std::string& path, nn::Parameter& parameter) {
    if (parameter.requires_gradient() && parameter.gradient().defined())
      gradients[path] = parameter.gradient().to_vector<float>();
  });
  nn::walk_parameters(model, [](const std::string&, nn::Parameter& parameter) {
    if (parameter.requires_gradient()) parameter.clear_gradient();
  });
  return gradients;
}

}  // namespace martlet::testing

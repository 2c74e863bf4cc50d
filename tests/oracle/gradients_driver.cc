// gradients_driver MODEL CASE.json OUT: gradients of the mean cross-entropy of a packed batch, saved as a
// model directory OUT whose tensors are the gradients, under Hugging Face's names. CASE holds `sequences`,
// lists of ids, of which each predicts the next. Prints the loss. A model without a head gives the gradients
// of the sum of its hidden states times the numbers `hidden_gradient`, in the order of tokens, and prints
// that sum.

#include <cstdio>
#include <numeric>

#include "autograd/backward.h"
#include "base/error.h"
#include "base/json.h"
#include "models/save.h"
#include "nn/tree.h"
#include "ops/cast.h"
#include "ops/cross_entropy.h"

namespace martlet {
namespace {

void set_dense_leaf(const std::string&, nn::Parameter& parameter) {
  if (parameter.requires_gradient()) return;
  parameter.set(ops::cast(parameter.tensor(), DType::kF32).clone());
  parameter.require_gradient();
}

float run_hidden(nn::Model& model, const Json& numbers) {
  nn::Batch batch;
  for (const Json& sequence : numbers.at("sequences").array()) {
    std::vector<int32_t> ids;
    for (const Json& id : sequence.array()) ids.push_back(static_cast<int32_t>(id.integer()));
    batch.add(ids);
  }
  std::vector<float> factors;
  for (const Json& factor : numbers.at("hidden_gradient").array())
    factors.push_back(static_cast<float>(factor.real()));
  const Tensor hidden = model.hidden(batch);
  autograd::backward(hidden, Tensor::from(factors, hidden.shape()));
  const std::vector<float> values = hidden.to_vector<float>();
  return static_cast<float>(std::inner_product(values.begin(), values.end(), factors.begin(), 0.0));
}

float run(nn::Model& model, const Json& numbers) {
  if (!model.shape().generates) return run_hidden(model, numbers);
  const Json& sequences = numbers.at("sequences");
  nn::Batch batch;
  std::vector<int64_t> targets;
  for (const Json& sequence : sequences.array()) {
    std::vector<int32_t> ids;
    for (const Json& id : sequence.array()) ids.push_back(static_cast<int32_t>(id.integer()));
    for (size_t i = 1; i < ids.size(); ++i) targets.push_back(ids[i]);
    ids.pop_back();
    batch.add(ids);
  }
  const Tensor loss = ops::cross_entropy(model.logits(model.hidden(batch)),
                                         Tensor::from(targets, {static_cast<int64_t>(targets.size())}));
  autograd::backward(loss);
  return loss.to_vector<float>()[0];
}

}  // namespace
}  // namespace martlet

int main(int argc, char** argv) {
  try {
    if (argc != 4) martlet::bad_input("usage: gradients_driver MODEL CASE.json OUT");
    const martlet::models::OpenModel model = martlet::models::open_model(argv[1]);
    martlet::nn::walk_parameters(*model.tree, martlet::set_dense_leaf);
    std::printf("%.9g\n", static_cast<double>(martlet::run(*model.tree, martlet::Json::parse_file(argv[2]))));
    martlet::nn::walk_parameters(*model.tree, [](const std::string&, martlet::nn::Parameter& parameter) {
      if (!parameter.requires_gradient() || !parameter.gradient().defined()) return;
      const martlet::Tensor gradient = parameter.gradient().clone();
      parameter.require_gradient(false);
      parameter.set(gradient);
    });
    martlet::models::save_model(model, argv[3]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

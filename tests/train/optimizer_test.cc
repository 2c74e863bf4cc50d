#include "train/optimizer.h"

#include <cmath>
#include <gtest/gtest.h>

#include "autograd/leaf.h"
#include "base/error.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "nn/decoder.h"
#include "nn/tree.h"
#include "ops/linear.h"
#include "ops/svd.h"
#include "support/random_model.h"

namespace martlet::train {
namespace {

Tensor draw(const Shape& shape, uint64_t stream) {
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(Philox(6, stream).normal(i));
  return Tensor::from(values, shape);
}

/// One module whose matrix and bias are trained as those inside a block.
struct Layer {
  explicit Layer(int64_t rows, int64_t columns) : linear(columns, rows, true) {
    linear.weight.set(draw({rows, columns}, 1));
    linear.bias->set(draw({rows}, 2));
    linear.weight.require_gradient();
    linear.bias->require_gradient();
  }
  std::vector<TrainedParameter> trained() {
    return {{"layers.0.weight", &linear.weight, true, true}, {"layers.0.bias", &*linear.bias, false, false}};
  }
  void give_gradients(uint64_t stream) {
    autograd::set_gradient(linear.weight.tensor(), draw(linear.weight.shape(), stream));
    autograd::set_gradient(linear.bias->tensor(), draw(linear.bias->shape(), stream + 1));
  }

  nn::AffineLinear linear;
};

TEST(Optimizer, EveryOneLowersAQuadratic) {
  for (const std::string& name : optimizer_names()) {
    Layer layer(6, 4);
    const auto optimizer = make_optimizer(name, layer.trained(), {.weight_decay = 0});
    EXPECT_EQ(optimizer->name(), name);
    const auto loss = [&] {  // half the squared distance from 0, whose gradient is the value itself
      double sum = 0;
      for (const float value : layer.linear.weight.tensor().to_vector<float>())
        sum += 0.5 * double{value} * value;
      return sum;
    };
    const double before = loss();
    for (int step = 0; step < 200; ++step) {
      autograd::set_gradient(layer.linear.weight.tensor(), layer.linear.weight.tensor().detach().clone());
      autograd::set_gradient(layer.linear.bias->tensor(), layer.linear.bias->tensor().detach().clone());
      optimizer->step(0.03, 1);
    }
    EXPECT_LT(loss(), 0.3 * before) << name;
    EXPECT_EQ(optimizer->steps_done(), 200);
  }
}

TEST(Optimizer, WeightDecayShrinksMatricesAndLeavesVectors) {
  for (const std::string& name : optimizer_names()) {
    Layer layer(6, 4);
    const std::vector<float> weight = layer.linear.weight.tensor().to_vector<float>();
    const std::vector<float> bias = layer.linear.bias->tensor().to_vector<float>();
    const auto optimizer = make_optimizer(name, layer.trained(), {.weight_decay = 0.5});
    autograd::set_gradient(layer.linear.weight.tensor(), Tensor::zeros({6, 4}, DType::kF32));
    autograd::set_gradient(layer.linear.bias->tensor(), Tensor::zeros({6}, DType::kF32));
    optimizer->step(0.1, 1);
    const std::vector<float> after = layer.linear.weight.tensor().to_vector<float>();
    for (size_t i = 0; i < weight.size(); ++i) EXPECT_NEAR(after[i], 0.95f * weight[i], 1e-6) << name;
    EXPECT_EQ(layer.linear.bias->tensor().to_vector<float>(), bias) << name;
  }
}

TEST(Optimizer, ItsStateIsAllThatItRemembers) {
  for (const std::string& name : optimizer_names()) {
    Layer first(8, 5), second(8, 5);
    const auto a = make_optimizer(name, first.trained(), {});
    const auto b = make_optimizer(name, second.trained(), {});
    first.give_gradients(10);
    a->step(0.01, 1);
    // b takes up where a stands.
    const auto from = a->state(), to = b->state();
    ASSERT_EQ(from.size(), to.size());
    for (size_t i = 0; i < from.size(); ++i) {
      EXPECT_EQ(from[i].first, to[i].first);
      to[i].second.copy_elements(from[i].second);
    }
    b->set_steps_done(a->steps_done());
    second.linear.weight.tensor().copy_elements(first.linear.weight.tensor().detach());
    second.linear.bias->tensor().copy_elements(first.linear.bias->tensor().detach());
    for (Layer* layer : {&first, &second}) layer->give_gradients(20);
    a->step(0.02, 0.5);
    b->step(0.02, 0.5);
    EXPECT_EQ(first.linear.weight.tensor().to_vector<float>(),
              second.linear.weight.tensor().to_vector<float>())
        << name;
  }
}

TEST(Optimizer, MuonMovesAMatrixAlongEveryDirectionAlike) {
  for (const auto& [rows, columns] : {std::pair{24, 10}, std::pair{10, 24}}) {
    Layer layer(rows, columns);
    const Tensor before = layer.linear.weight.tensor().detach().clone();
    const auto optimizer = make_optimizer("muon", layer.trained(), {.weight_decay = 0});
    layer.give_gradients(30);
    optimizer->step(1, 1);
    const std::vector<float> from = before.to_vector<float>(),
                             to = layer.linear.weight.tensor().to_vector<float>();
    std::vector<float> moved(from.size());
    for (size_t i = 0; i < from.size(); ++i) moved[i] = (from[i] - to[i]) / (0.2f * std::sqrt(24.0f));
    for (const float value : ops::svd(Tensor::from(moved, {rows, columns})).s.to_vector<float>()) {
      EXPECT_GT(value, 0.6);
      EXPECT_LT(value, 1.3);
    }
  }
}

TEST(Optimizer, ThreadsDoNotChangeABit) {
  const int threads = thread_count();
  for (const std::string& name : optimizer_names()) {
    std::vector<std::vector<float>> results;
    for (const int count : {1, 4}) {
      set_thread_count(count);
      Layer first(40, 24), second(24, 72);
      std::vector<TrainedParameter> trained = first.trained();
      for (const TrainedParameter& each : second.trained()) trained.push_back(each);
      const auto optimizer = make_optimizer(name, trained, {});
      for (int step = 0; step < 3; ++step) {
        first.give_gradients(40 + 2 * static_cast<uint64_t>(step));
        second.give_gradients(50 + 2 * static_cast<uint64_t>(step));
        optimizer->step(0.01, 1);
      }
      results.emplace_back();
      for (const TrainedParameter& each : trained)
        for (const float value : each.parameter->tensor().to_vector<float>()) results.back().push_back(value);
    }
    EXPECT_EQ(results[0], results[1]) << name;
  }
  set_thread_count(threads);
}

TEST(Optimizer, AParameterWithoutAGradientMovesAsWithZeros) {
  for (const std::string& name : optimizer_names()) {
    Layer with(6, 4), without(6, 4);
    const OptimizerOptions options{.weight_decay = 0.5};
    const auto first = make_optimizer(name, with.trained(), options),
               second = make_optimizer(name, without.trained(), options);
    const auto step = [&](bool given) {
      if (given) {
        with.give_gradients(30);
        without.give_gradients(30);
      } else {
        autograd::set_gradient(with.linear.weight.tensor(), Tensor::zeros({6, 4}, DType::kF32));
        autograd::set_gradient(with.linear.bias->tensor(), Tensor::zeros({6}, DType::kF32));
        without.linear.weight.clear_gradient();
        without.linear.bias->clear_gradient();
      }
      first->step(0.1, 1);
      second->step(0.1, 1);
    };
    // What it remembers of the first step goes on in those after.
    for (const bool given : {true, false, false, true}) step(given);
    EXPECT_EQ(without.linear.weight.tensor().to_vector<float>(),
              with.linear.weight.tensor().to_vector<float>())
        << name;
    EXPECT_EQ(without.linear.bias->tensor().to_vector<float>(), with.linear.bias->tensor().to_vector<float>())
        << name;
  }
}

TEST(Optimizer, AnUnknownNameIsRefusedWithThoseKnown) {
  Layer layer(3, 3);
  try {
    make_optimizer("adam", layer.trained(), {});
    FAIL() << "it was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string_view(error.what()).find("adamw, sgd, lion, muon, adafactor"),
              std::string_view::npos);
  }
}

TEST(TrainedParameters, AreThoseThatRequireAGradientTiedOnesOnce) {
  const auto model = martlet::testing::random_llama(4);
  const auto decoder = std::dynamic_pointer_cast<nn::DecoderModel>(model);
  std::dynamic_pointer_cast<nn::AffineLinear>(decoder->lm_head.get())
      ->weight.tie(std::dynamic_pointer_cast<nn::TableEmbedding>(decoder->embed_tokens.get())->weight);
  EXPECT_TRUE(trained_parameters(*model).empty());
  nn::walk_parameters(*model, [](const std::string& path, nn::Parameter& parameter) {
    if (!path.starts_with("layers.0.")) parameter.require_gradient();
  });
  const std::vector<TrainedParameter> trained = trained_parameters(*model);
  EXPECT_EQ(trained.size(), 1u + 9u + 1u);
  for (const TrainedParameter& each : trained) {
    EXPECT_EQ(each.decays, each.parameter->shape().rank() == 2) << each.path;
    EXPECT_EQ(each.hidden, each.decays && each.path.starts_with("layers.")) << each.path;
  }
}

TEST(GradientNorm, IsTheRootOfTheSumOfAllSquares) {
  Layer layer(7, 9);
  layer.give_gradients(40);
  double squares = 0;
  for (const nn::Parameter* parameter : layer.linear.parameters())
    for (const float value : parameter->gradient().to_vector<float>()) squares += double{value} * value;
  EXPECT_NEAR(gradient_norm(layer.trained()), std::sqrt(squares), 1e-6 * std::sqrt(squares));
}

}  // namespace
}  // namespace martlet::train

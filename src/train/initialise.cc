#include "train/initialise.h"

#include <cmath>

#include "base/random.h"
#include "base/thread_pool.h"
#include "nn/layers.h"
#include "nn/tree.h"

namespace martlet::train {
namespace {

Tensor normal_values(const Shape& shape, uint64_t seed, const std::string& path, double spread) {
  constexpr int64_t kGrain = 4096;
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  const Philox random(seed, stream_of(path));
  parallel_for(shape.element_count(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      values[static_cast<size_t>(i)] = static_cast<float>(random.normal(static_cast<uint64_t>(i)) * spread);
  });
  return Tensor::from(values, shape);
}

Tensor constant(const Shape& shape, float value) {
  return Tensor::from(std::vector<float>(static_cast<size_t>(shape.element_count()), value), shape);
}

/// What a norm's weight is when rows pass unchanged.
float neutral_weight(const nn::Module& norm) {
  const auto* rms = dynamic_cast<const nn::RmsNorm*>(&norm);
  return rms == nullptr ? 1.0f : 1.0f - rms->offset();
}

bool ends_residual(std::string_view path) {
  return path.ends_with(".o_proj.weight") || path.ends_with(".down_proj.weight");
}

}  // namespace

void initialise(nn::Model& model, uint64_t seed, double spread) {
  const OwnerScope owner(Owner::kWeights);
  const double residual =
      spread / std::sqrt(2.0 * static_cast<double>(std::max<int64_t>(1, model.shape().layers)));
  const nn::ModulePtr root(std::shared_ptr<void>(), &model);
  nn::walk(root, [&](const std::string& path, const nn::ModulePtr& module) {
    for (nn::Parameter* parameter : module->parameters()) {
      if (parameter->defined()) continue;
      const std::string name = path.empty() ? parameter->name() : path + "." + parameter->name();
      if (parameter->shape().rank() >= 2)
        parameter->set(
            normal_values(parameter->shape(), seed, name, ends_residual(name) ? residual : spread));
      else if (parameter->name() == "weight")
        parameter->set(constant(parameter->shape(), neutral_weight(*module)));
      else
        parameter->set(constant(parameter->shape(), 0.0f));
    }
  });
}

}  // namespace martlet::train

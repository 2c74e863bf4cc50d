#include "support/random_model.h"

#include <filesystem>
#include <stdlib.h>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "models/save.h"
#include "nn/tree.h"

namespace martlet::testing {

Json small_llama_config() {
  return Json::parse(R"({"model_type": "llama", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64})",
                     "config");
}

namespace {

/// Norms near 1, everything else small.
Tensor random_values(const std::string& path, const Shape& shape, uint64_t seed) {
  const Philox random(seed, stream_of(path));
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(random.normal(i) * 0.2 + (shape.rank() == 1 ? 1 : 0));
  return Tensor::from(values, shape);
}

}  // namespace

std::shared_ptr<nn::Model> random_model(const Json& config, uint64_t seed) {
  auto model = models::family_named(config.at("model_type").string()).build(Fields(config, "config"));
  nn::walk_parameters(*model, [&](const std::string& path, nn::Parameter& parameter) {
    parameter.set(random_values(path, parameter.shape(), seed));
  });
  return model;
}

std::shared_ptr<nn::Model> random_llama(uint64_t seed) {
  return random_model(small_llama_config(), seed);
}

ModelDirectory::ModelDirectory(const Json& config, uint64_t seed) {
  std::string name = (std::filesystem::temp_directory_path() / "martlet-model-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) failed("cannot make {}", name);
  path_ = name;
  models::OpenModel model;
  model.tree = random_model(config, seed);
  model.family = &models::family_named(config.at("model_type").string());
  model.config = config;
  models::save_model(model, path_);
}

ModelDirectory::~ModelDirectory() {
  std::filesystem::remove_all(path_);
}

void ModelDirectory::write_config(const Json& config) const {
  write_file(path_ + "/config.json", config.dump());
}

}  // namespace martlet::testing

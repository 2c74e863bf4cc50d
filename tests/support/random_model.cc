#include "support/random_model.h"

#include <filesystem>
#include <stdlib.h>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "formats/safetensors.h"
#include "models/family.h"
#include "nn/tree.h"

namespace martlet::testing {

Json small_llama_config() {
  return Json::parse(R"({"model_type": "llama", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64})",
                     "config");
}

ModelDirectory::ModelDirectory(const Json& config, uint64_t seed) {
  std::string name = (std::filesystem::temp_directory_path() / "martlet-model-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) failed("cannot make {}", name);
  path_ = name;
  write_config(config);
  const models::Family& family = models::family_named(config.at("model_type").string());
  const auto model = family.build(Fields(config, "config"));
  std::vector<formats::OutgoingTensor> tensors;
  nn::walk_parameters(*model, [&](const std::string& path, nn::Parameter& parameter) {
    const Philox random(seed, stream_of(path));
    std::vector<float> values(static_cast<size_t>(parameter.element_count()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(random.normal(i) * 0.2 + (parameter.shape().rank() == 1 ? 1 : 0));
    std::string layer;
    std::string pattern = path;
    if (path.starts_with("layers.")) {
      layer = path.substr(7, path.find('.', 7) - 7);
      pattern = "layers.{}" + path.substr(path.find('.', 7));
    }
    for (const models::WeightName& entry : family.weights) {
      if (entry.path != pattern) continue;
      std::string stored(entry.hugging_face);
      if (const size_t at = stored.find("{}"); at != std::string::npos) stored.replace(at, 2, layer);
      tensors.emplace_back(stored, Tensor::from(values, parameter.shape()));
    }
  });
  formats::write_safetensors(path_ + "/model.safetensors", tensors);
}

ModelDirectory::~ModelDirectory() {
  std::filesystem::remove_all(path_);
}

void ModelDirectory::write_config(const Json& config) const {
  write_file(path_ + "/config.json", config.dump());
}

}  // namespace martlet::testing

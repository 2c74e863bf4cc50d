#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "nn/roles.h"

namespace martlet::testing {

/// A LLaMA config of a few thousand parameters.
Json small_llama_config();

/// The tree of a config with random values (Philox, by name).
std::shared_ptr<nn::Model> random_model(const Json& config, uint64_t seed);
/// The tree of `small_llama_config` with such values.
std::shared_ptr<nn::Model> random_llama(uint64_t seed);

/// Writes config.json and random weights (Philox, by name) for `config` into a new directory, which lives
/// until the object goes.
class ModelDirectory {
 public:
  ModelDirectory(const Json& config, uint64_t seed);
  ~ModelDirectory();
  ModelDirectory(const ModelDirectory&) = delete;
  ModelDirectory& operator=(const ModelDirectory&) = delete;

  const std::string& path() const { return path_; }
  void write_config(const Json& config) const;

 private:
  std::string path_;
};

}  // namespace martlet::testing

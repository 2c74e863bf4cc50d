#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace martlet::testing {

/// A LLaMA config of a few thousand parameters.
Json small_llama_config();

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

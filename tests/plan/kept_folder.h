#pragma once

// A folder of kept weights, and what a model opened with it gives.

#include <filesystem>
#include <vector>

#include "base/files.h"
#include "base/temporary_folder.h"
#include "models/open.h"
#include "plan/catalogue.h"

namespace martlet::plan {

inline std::vector<float> logits_of(const models::OpenModel& model) {
  nn::Batch batch;
  batch.add(std::vector<int32_t>{1, 5, 9, 96, 4});
  return model.tree->logits(model.tree->hidden(batch)).to_vector<float>();
}

class KeptFolder {
 public:
  std::string cache_folder() const { return folder_ / "weights"; }

  /// Of a model that is only run.
  models::OpenOptions options() const {
    models::OpenOptions options{rewrites()};
    options.rewrites_of_packed = {"int8_activations", "kv_cache"};
    options.weight_cache = {cache_folder(), int64_t{1} << 30};
    return options;
  }

  std::vector<std::filesystem::path> cache_files() const {
    std::vector<std::filesystem::path> files;
    if (is_directory(cache_folder()))
      for (const auto& file : std::filesystem::directory_iterator(cache_folder()))
        files.push_back(file.path());
    return files;
  }

 protected:
  TemporaryFolder folder_;
};

}  // namespace martlet::plan

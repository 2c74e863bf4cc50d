#pragma once

#include <functional>
#include <optional>
#include <string>

#include "formats/model_files.h"
#include "models/family.h"
#include "models/weight_cache.h"
#include "nn/apply_rewrite.h"

namespace martlet::models {

/// A model on disk, opened: its tree with weights mapped, and what came with it.
struct OpenModel {
  std::shared_ptr<nn::Model> tree;
  const Family* family = nullptr;
  formats::ModelFiles files;
  Json config;                            ///< in Hugging Face's keys, from a GGUF file too
  std::optional<formats::GgufFile> gguf;  ///< when it is one
  nn::RewriteHistory rewrites;            ///< those of its martlet.toml, then those asked for
  /// Weights that rewrites made and that lie in a file, as the tree holds them.
  KeptWeights kept;
  /// Makes one of them anew from the model's own files, into u8 [byte_count].
  std::function<void(std::string_view path, const Tensor& bytes)> remake;
};

/// Where weights that are made when a model is opened are kept for the next opening.
struct WeightCachePlace {
  std::string folder;
  int64_t most_bytes = 0;
};

struct OpenOptions {
  nn::RewriteCatalogue catalogue = {};  ///< rewrites that are known; plan/catalogue.h has all
  /// Applied after those of the model's martlet.toml; the passing ones (nn/rewrite.h) after all others, since
  /// they take weights as they are then.
  std::vector<nn::RewriteRequest> rewrites = {};
  std::vector<std::string> skip = {};  ///< names of rewrites to leave out
  /// The model is only to be run: where weights are packed, the rewrites named here come last, each unless it
  /// was asked for already.
  std::vector<std::string> rewrites_of_packed = {};
  /// Likewise where layers have bf16 weights.
  std::vector<std::string> rewrites_of_bf16 = {};
  /// For what `rewrites_of_packed` make of a model's own weights, or of what one rewrite that only packs them
  /// has made of these, its martlet.toml's or one asked for; not where others change them before. Nothing:
  /// they are made anew at every opening.
  std::optional<WeightCachePlace> weight_cache = {};
  /// kLater also lets what is made on the way lie in a file of that folder rather than in memory.
  WeightCache::Check check_kept_weights = WeightCache::Check::kNow;
  /// Where weights that are no file's as they are (those that another layout or a rewrite makes) lie in a
  /// file without a name rather than in memory (tensor/spill.h): for a model that is read once, to be
  /// written.
  std::string spill_folder = {};
};

/// Opens a Hugging Face directory or a GGUF file and applies its rewrites. Throws BadInput.
OpenModel open_model(const std::string& path, const OpenOptions& options = {});

/// The model's tree as its configuration says, before any rewrite and without values: what is asked of shapes
/// needs no weights. Throws BadInput.
std::shared_ptr<nn::Model> tree_without_weights(const std::string& path);

/// Applies one rewrite more to an open model.
void rewrite(OpenModel& model, const nn::RewriteRequest& request, nn::RewriteCatalogue catalogue);

}  // namespace martlet::models

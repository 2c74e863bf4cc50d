#include "models/open.h"

#include <algorithm>
#include <filesystem>

#include "base/crc32c.h"
#include "base/mapped_parts.h"
#include "models/loader.h"
#include "models/model_state.h"
#include "models/rewrites_file.h"
#include "ops/cpu_features.h"
#include "ops/packed/layout_fingerprint.h"
#include "tensor/spill.h"

namespace martlet::models {
namespace {

/// Whether it may make weights of others, so that what is kept depends on it.
bool changes_weights(const nn::Rewrite& rewrite) {
  return rewrite.role != nn::AttentionCore::kRole && !rewrite.passing;
}

bool is_skipped(const OpenOptions& options, std::string_view name) {
  return std::find(options.skip.begin(), options.skip.end(), name) != options.skip.end();
}

/// Those of its martlet.toml, whose names are known.
std::vector<nn::RewriteRequest> requests_of_file(const formats::ModelFiles& files,
                                                 nn::RewriteCatalogue catalogue) {
  if (files.rewrites.empty()) return {};
  std::vector<nn::RewriteRequest> requests = read_rewrites(files.rewrites);
  try {
    for (const nn::RewriteRequest& request : requests) nn::rewrite_named(catalogue, request.name);
  } catch (Error& error) {
    throw error.within(files.rewrites);
  }
  return requests;
}

/// What is applied before `rewrites_of_packed`: the model's own rewrites, then those asked for.
std::vector<nn::RewriteRequest> requests_of(const OpenModel& model, const OpenOptions& options) {
  std::vector<nn::RewriteRequest> requests = requests_of_file(model.files, options.catalogue);
  requests.insert(requests.end(), options.rewrites.begin(), options.rewrites.end());
  return requests;
}

/// The names of the rewrites that make the weights of a model that is only run, with the arguments of what
/// packs them; nothing where others change weights too, or where two pack, of which the first would pack
/// anew what the second has made.
std::string makers(const OpenModel& model, const OpenOptions& options) {
  const auto rewrite = [&](std::string_view name) -> const nn::Rewrite& {
    return nn::rewrite_named(options.catalogue, name);
  };
  std::string packing;
  for (const nn::RewriteRequest& request : requests_of(model, options)) {
    if (is_skipped(options, request.name) || !changes_weights(rewrite(request.name)) ||
        rewrite(request.name).keeps_values)
      continue;
    if (!rewrite(request.name).packs || !packing.empty()) return {};
    packing = request.name + " " + request.arguments.dump() + "\n";
  }
  std::string names;
  for (const std::string& name : options.rewrites_of_packed)
    if (!is_skipped(options, name) && changes_weights(rewrite(name))) names += name + "\n";
  return names.empty() ? names : packing + names;
}

/// "llama-7b-1a2b3c4d": a person sees whose it is, and a changed model takes the place of the old one.
std::string cache_name(const formats::ModelFiles& files, const std::string& made_by) {
  const std::filesystem::path path = std::filesystem::canonical(files.path);
  return fmt::format("{}-{:08x}", path.stem().string(), crc32c(path.string() + "\n" + made_by));
}

std::optional<WeightCache> cache_of(const OpenModel& model, const OpenOptions& options) {
  if (!options.weight_cache) return std::nullopt;
  const std::string made_by = makers(model, options);
  if (made_by.empty()) return std::nullopt;
  std::string made_of =
      fmt::format("{}{}{}\n{}", state_of_model(model.files, model.gguf ? &*model.gguf : nullptr), made_by,
                  ops::cpu_features().to_string(), ops::interleaved_layout_fingerprint());
  if (!model.gguf && !formats::quantisation_of(model.files, model.config).is_null())
    made_of += "\n" + formats::quantised_fingerprint();
  return WeightCache(options.weight_cache->folder, cache_name(model.files, made_by), made_of,
                     options.weight_cache->most_bytes);
}

void build_from_directory(OpenModel& model) {
  const std::string& path = model.files.config;
  model.config = Json::parse_file(path);
  if (!model.config.is_object()) bad_input("{}: expected a table, got {}", path, model.config.kind_name());
  const Fields config(model.config, path);
  model.family = &family_named(config.text("model_type"));
  model.tree = model.family->build(config);
}

void build_from_gguf(OpenModel& model) {
  model.gguf.emplace(model.files.path);
  model.family = &family_of_gguf(model.gguf->metadata());
  model.config = model.family->config_from_gguf(*model.gguf);
  model.tree = model.family->build(Fields(model.config, model.files.path));
}

/// The model at `path`, its weights still without values.
OpenModel built_model(const std::string& path) {
  OpenModel model;
  model.files = formats::find_model_files(path);
  if (model.files.kind == formats::ModelKind::kGguf)
    build_from_gguf(model);
  else
    build_from_directory(model);
  return model;
}

/// See models/loader.h.
void load_from_files(OpenModel& model, const KeptWeights& kept, std::string_view only = {}) {
  if (model.gguf)
    return load_weights(*model.tree, *model.family, FileForm::kGguf, model.gguf->tensors(), kept, only);
  const Json quantisation = formats::quantisation_of(model.files, model.config);
  if (quantisation.is_null())
    return load_weights(*model.tree, *model.family, FileForm::kHuggingFace,
                        formats::open_tensors(model.files), kept, only);
  load_weights(*model.tree, *model.family, formats::open_quantised(model.files, quantisation), kept, only);
  // What the config says of another tool's quantising is about the files alone, and not of the model any
  // more.
  std::erase_if(model.config.object(),
                [](const auto& member) { return member.first == "quantization_config"; });
}

/// The pattern of a request with that of one module in its place; nothing where it does not match.
std::optional<nn::RewriteRequest> narrowed(const nn::Rewrite& rewrite, const nn::RewriteRequest& request,
                                           const std::string& module) {
  const nn::Arguments arguments(rewrite.arguments, request.arguments, rewrite.name);
  if (!nn::matches(arguments.text("pattern"), module)) return std::nullopt;
  nn::RewriteRequest narrow = request;
  narrow.arguments.set("pattern", module);
  return narrow;
}

/// Makes the weight at `path` as opening the model with `options` did, and no other.
void make_one(const std::string& model_path, const OpenOptions& options, std::string_view path,
              const Tensor& bytes) {
  OpenModel model = built_model(model_path);
  load_from_files(model, {}, path);
  const std::string module(path.substr(0, path.rfind('.')));
  const auto rewrite = [&](std::string_view name) -> const nn::Rewrite& {
    return nn::rewrite_named(options.catalogue, name);
  };
  for (const nn::RewriteRequest& request : requests_of(model, options))
    if (rewrite(request.name).packs && !is_skipped(options, request.name))
      if (const auto narrow = narrowed(rewrite(request.name), request, module))
        nn::apply_rewrite(model.tree, *narrow, options.catalogue, model.rewrites);
  bool made = false;
  nn::ApplyOptions how;
  how.make = [&](std::span<const nn::MadeWeight> weights) {
    for (const nn::MadeWeight& weight : weights) {
      if (weight.path != path || weight.byte_count != bytes.byte_count()) continue;
      weight.make(bytes, 0);
      made = true;
    }
  };
  for (const std::string& name : options.rewrites_of_packed)
    if (!is_skipped(options, name) && changes_weights(rewrite(name)))
      nn::apply_rewrite(model.tree, {name}, options.catalogue, model.rewrites, how);
  if (!made) bad_input("{}: {} cannot be made anew: the model's files have changed", model_path, path);
}

/// Gives the built tree its weights, those that are kept from there; the cache where they are still to be
/// made.
std::optional<WeightCache> load(OpenModel& model, const OpenOptions& options) {
  std::optional<WeightCache> cache = cache_of(model, options);
  std::optional<KeptWeights> kept = cache ? cache->load(options.check_kept_weights) : std::nullopt;
  if (cache)
    model.remake = [path = model.files.path, options](std::string_view at, const Tensor& bytes) {
      make_one(path, options, at, bytes);
    };
  if (kept) {
    model.kept = std::move(*kept);
    cache.reset();
  }
  load_from_files(model, model.kept);
  return cache;
}

bool has_packed_weights(const nn::Model& tree) {
  bool any = false;
  nn::walk_parameters(tree, [&](const std::string&, nn::Parameter& parameter) {
    any |= parameter.shape().rank() == 2 && parameter.defined() && parameter.weight().is_packed();
  });
  return any;
}

bool has_bf16_layers(const nn::Model& tree) {
  bool any = false;
  nn::walk_parameters(tree, [&](const std::string& path, nn::Parameter& parameter) {
    any |= path.starts_with("layers.") && parameter.shape().rank() == 2 && parameter.type_name() == "bf16";
  });
  return any;
}

/// `cache`: takes what the rewrite of packed weights makes.
void apply_rewrites(OpenModel& model, const OpenOptions& options, const std::optional<WeightCache>& cache) {
  const auto apply = [&](const nn::RewriteRequest& request, const nn::SavedTensors* saved) {
    nn::ApplyOptions how{saved, options.skip};
    if (cache)
      how.make = [&](std::span<const nn::MadeWeight> weights) {
        if (auto kept = cache->make(weights, options.check_kept_weights)) model.kept = std::move(*kept);
      };
    how.forget = [&options](const Tensor& replaced) {
      // A part's large pages come back with what lies beside it: where memory is short, all go.
      if (options.check_kept_weights == WeightCache::Check::kLater) forget_mapped_files();
      forget_mapped({replaced.host_bytes(), static_cast<size_t>(replaced.byte_count())});
    };
    nn::apply_rewrite(model.tree, request, options.catalogue, model.rewrites, how);
  };
  const std::vector<nn::RewriteRequest> own = requests_of_file(model.files, options.catalogue);
  if (!own.empty()) {
    const nn::SavedTensors saved = read_rewrite_tensors(model.files.path);
    try {
      for (const nn::RewriteRequest& request : own) apply(request, &saved);
    } catch (Error& error) {
      throw error.within(model.files.rewrites);
    }
  }
  const auto apply_asked = [&](bool passing) {
    for (const nn::RewriteRequest& request : options.rewrites)
      if (nn::rewrite_named(options.catalogue, request.name).passing == passing) apply(request, nullptr);
  };
  apply_asked(false);
  const auto bring = [&](const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const bool asked =
          std::any_of(model.rewrites.begin(), model.rewrites.end(),
                      [&](const nn::AppliedRewrite& each) { return each.rewrite->name == name; });
      if (!asked) apply({name}, nullptr);
    }
  };
  if (!options.rewrites_of_packed.empty() && has_packed_weights(*model.tree))
    bring(options.rewrites_of_packed);
  if (!options.rewrites_of_bf16.empty() && has_bf16_layers(*model.tree)) bring(options.rewrites_of_bf16);
  apply_asked(true);
}

}  // namespace

OpenModel open_model(const std::string& path, const OpenOptions& options) {
  std::optional<SpillScope> spill, made;
  if (!options.spill_folder.empty()) made.emplace(options.spill_folder);
  if (options.weight_cache && options.check_kept_weights == WeightCache::Check::kLater)
    spill.emplace(options.weight_cache->folder);
  OpenModel model = built_model(path);
  apply_rewrites(model, options, load(model, options));
  return model;
}

std::shared_ptr<nn::Model> tree_without_weights(const std::string& path) {
  return built_model(path).tree;
}

void rewrite(OpenModel& model, const nn::RewriteRequest& request, nn::RewriteCatalogue catalogue) {
  nn::ApplyOptions how;
  how.checksum = [&](std::string_view path) -> std::optional<uint32_t> {
    const auto found = model.kept.find(path);
    return found == model.kept.end() ? std::nullopt : std::optional(found->second.checksum);
  };
  how.remake = model.remake;
  nn::apply_rewrite(model.tree, request, catalogue, model.rewrites, how);
}

}  // namespace martlet::models

#include "models/open.h"

#include <algorithm>

#include "models/loader.h"
#include "models/rewrites_file.h"

namespace martlet::models {
namespace {

/// The weights, as they are or as another tool quantised them. What the config says of that is about the
/// files alone, and not of the model any more.
void load_directory(OpenModel& model, const formats::ModelFiles& files) {
  const Json quantisation = formats::quantisation_of(files, model.config);
  if (quantisation.is_null()) {
    load_weights(*model.tree, *model.family, FileForm::kHuggingFace, formats::open_tensors(files));
    return;
  }
  load_weights(*model.tree, *model.family, formats::open_quantised(files, quantisation));
  std::erase_if(model.config.object(),
                [](const auto& member) { return member.first == "quantization_config"; });
}

OpenModel open_directory(formats::ModelFiles files) {
  OpenModel model;
  model.config = Json::parse_file(files.config);
  if (!model.config.is_object())
    bad_input("{}: expected a table, got {}", files.config, model.config.kind_name());
  const Fields config(model.config, files.config);
  model.family = &family_named(config.text("model_type"));
  model.tree = model.family->build(config);
  load_directory(model, files);
  model.files = std::move(files);
  return model;
}

OpenModel open_gguf_file(formats::ModelFiles files) {
  OpenModel model;
  model.gguf.emplace(files.path);
  model.family = &family_of_gguf(model.gguf->metadata());
  model.config = model.family->config_from_gguf(*model.gguf);
  model.tree = model.family->build(Fields(model.config, files.path));
  load_weights(*model.tree, *model.family, FileForm::kGguf, model.gguf->tensors());
  model.files = std::move(files);
  return model;
}

bool has_packed_weights(const nn::Model& tree) {
  bool any = false;
  nn::walk_parameters(tree, [&](const std::string&, nn::Parameter& parameter) {
    any |= parameter.shape().rank() == 2 && parameter.defined() && parameter.weight().is_packed();
  });
  return any;
}

void apply_rewrites(OpenModel& model, const OpenOptions& options) {
  const auto apply = [&](const nn::RewriteRequest& request, const nn::SavedTensors* saved) {
    nn::ApplyOptions how{saved, options.skip};
    if (model.gguf)
      how.forget = [&model](const Tensor& replaced) {
        model.gguf->forget({replaced.host_bytes(), static_cast<size_t>(replaced.byte_count())});
      };
    nn::apply_rewrite(model.tree, request, options.catalogue, model.rewrites, how);
  };
  if (!model.files.rewrites.empty()) {
    const nn::SavedTensors saved = read_rewrite_tensors(model.files.path);
    try {
      for (const nn::RewriteRequest& request : read_rewrites(model.files.rewrites)) apply(request, &saved);
    } catch (Error& error) {
      throw error.within(model.files.rewrites);
    }
  }
  for (const nn::RewriteRequest& request : options.rewrites) apply(request, nullptr);
  if (options.rewrites_of_packed.empty() || !has_packed_weights(*model.tree)) return;
  for (const std::string& name : options.rewrites_of_packed) {
    const bool asked =
        std::any_of(model.rewrites.begin(), model.rewrites.end(),
                    [&](const nn::AppliedRewrite& each) { return each.rewrite->name == name; });
    if (!asked) apply({name}, nullptr);
  }
}

}  // namespace

OpenModel open_model(const std::string& path, const OpenOptions& options) {
  formats::ModelFiles files = formats::find_model_files(path);
  OpenModel model = files.kind == formats::ModelKind::kGguf ? open_gguf_file(std::move(files))
                                                            : open_directory(std::move(files));
  apply_rewrites(model, options);
  return model;
}

}  // namespace martlet::models

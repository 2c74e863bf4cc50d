#include "models/tree_values.h"

#include <algorithm>
#include <set>

#include "models/weight_names.h"
#include "nn/tree.h"

namespace martlet::models {
namespace {

TreeValue value_of(std::string path, const nn::Parameter& parameter) {
  TreeValue value{.path = std::move(path), .shape = parameter.shape(), .weight = {}, .tensor = {}};
  if (parameter.shape().rank() == 2)
    value.weight = parameter.weight();
  else
    value.tensor = parameter.tensor();
  return value;
}

TreeValue value_of(std::string path, const Tensor& tensor) {
  TreeValue value{.path = std::move(path), .shape = tensor.shape(), .weight = {}, .tensor = {}};
  if (tensor.rank() == 2)
    value.weight = ops::Weight(tensor);
  else
    value.tensor = tensor;
  return value;
}

/// Parameters that the config itself ties to one before them.
std::set<std::string> tied_paths(const Family& family, const Json& config) {
  std::set<std::string> tied;
  std::set<const void*> seen;
  nn::walk_parameters(*family.build(Fields(config, "config")),
                      [&](const std::string& path, nn::Parameter& parameter) {
                        if (!seen.insert(parameter.identity()).second) tied.insert(path);
                      });
  return tied;
}

}  // namespace

std::vector<TreeValue> tree_values(const OpenModel& model) {
  const std::set<std::string> tied = tied_paths(*model.family, model.config);
  std::set<const void*> seen;
  std::vector<TreeValue> values;
  const auto gather = [&](const std::string& path, const nn::ModulePtr& module) {
    const auto* substitute = dynamic_cast<const nn::Substitute*>(module.get());
    const bool is_plain = substitute != nullptr && substitute->is_plain_on_disk();
    for (const nn::Parameter* parameter : module->parameters()) {
      if (is_plain) break;
      std::string at = path.empty() ? parameter->name() : path + "." + parameter->name();
      // Whoever reads the files by the config alone finds every parameter that it does not tie.
      if (!seen.insert(parameter->identity()).second && tied.contains(at)) continue;
      const bool own = find_weight_name(*model.family, at).entry == nullptr;
      values.push_back(value_of(std::move(at), *parameter));
      values.back().own = own;
    }
    if (substitute == nullptr) return;
    for (const auto& [name, tensor] : substitute->plain_parameters()) {
      const auto same = [&, &wanted = name](const nn::Parameter* parameter) {
        return parameter->name() == wanted;
      };
      if (is_plain || std::none_of(module->parameters().begin(), module->parameters().end(), same))
        values.push_back(value_of(path + "." + name, tensor));
    }
  };
  nn::walk(nn::ModulePtr(std::shared_ptr<void>(), model.tree.get()), gather);
  return values;
}

}  // namespace martlet::models

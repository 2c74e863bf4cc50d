#include "nn/tree_check.h"

#include <algorithm>
#include <set>

#include "nn/roles.h"
#include "nn/tree.h"

namespace martlet::nn {
namespace {

/// What the modules around it rely on.
std::vector<int64_t> sizes_of(const Module& module) {
  if (const auto* linear = dynamic_cast<const Linear*>(&module))
    return {linear->in_features(), linear->out_features()};
  if (const auto* embedding = dynamic_cast<const Embedding*>(&module))
    return {embedding->entries(), embedding->hidden_size()};
  return {};
}

bool is_below(std::string_view path, std::span<const std::string> parents) {
  return std::any_of(parents.begin(), parents.end(), [&](const std::string& parent) {
    return path.size() > parent.size() && path.starts_with(parent) && path[parent.size()] == '.';
  });
}

void check_names(const std::string& path, const Module& module) {
  std::set<std::string_view> names;
  const auto check = [&](const std::string& name, bool may_be_empty) {
    if (name.empty() ? !may_be_empty : name.find('.') != std::string::npos)
      failed("{}: a {} has a part with the name '{}'", path, module.kind(), name);
    if (!names.insert(name).second) failed("{}: a {} has two parts named '{}'", path, module.kind(), name);
  };
  for (const Slot* slot : module.children()) check(slot->name(), true);
  for (const Parameter* parameter : module.parameters()) check(parameter->name(), false);
}

bool all_have_values(const Module& root) {
  bool all = true;
  walk_parameters(root, [&](const std::string&, Parameter& parameter) { all = all && parameter.defined(); });
  return all;
}

}  // namespace

TreeSketch::TreeSketch(const ModulePtr& root) : has_values_(all_have_values(*root)) {
  // The outermost module of a path comes first and is what others see.
  walk(root, [&](const std::string& path, const ModulePtr& module) {
    places_.try_emplace(path, Place{module->role(), sizes_of(*module)});
  });
  walk_parameters(*root, [&](const std::string& path, Parameter& parameter) {
    values_.emplace(path, parameter.identity());
  });
}

void TreeSketch::check(const ModulePtr& root, std::span<const std::string> replaced) const {
  std::map<std::string, Place> now;
  walk(root, [&](const std::string& path, const ModulePtr& module) {
    check_names(path, *module);
    now.try_emplace(path, Place{module->role(), sizes_of(*module)});
  });
  for (const auto& [path, before] : places_) {
    if (is_below(path, replaced)) continue;
    const auto after = now.find(path);
    if (after == now.end()) failed("{}: the rewrite left this place empty", path);
    if (after->second.role != before.role)
      failed("{}: a {} stands where a {} stood", path, after->second.role, before.role);
    if (after->second.sizes != before.sizes) failed("{}: its sizes are not what they were", path);
  }
  std::map<const void*, const void*> moved;  // value before -> value now
  walk_parameters(*root, [&](const std::string& path, Parameter& parameter) {
    if (has_values_ && !parameter.defined())
      failed("{}: the rewrite left this parameter without a value", path);
    const auto before = values_.find(path);
    if (before == values_.end()) return;
    const auto [tie, is_new] = moved.emplace(before->second, parameter.identity());
    if (!is_new && tie->second != parameter.identity())
      failed("{}: this parameter shared its value with another and no longer does", path);
  });
}

}  // namespace martlet::nn

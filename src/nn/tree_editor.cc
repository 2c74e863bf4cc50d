#include "nn/tree_editor.h"

#include <algorithm>

namespace martlet::nn {
namespace {

/// The unnamed slot of a wrapper, or null.
Slot* wrapped_slot(const Module& module) {
  for (Slot* slot : module.children())
    if (slot->is_wrapped() && slot->module() != nullptr) return slot;
  return nullptr;
}

}  // namespace

std::vector<std::string> TreeEditor::find(std::string_view pattern, std::string_view role) const {
  std::vector<std::string> found;
  bool any_role = false;
  for (const std::string& path : nn::find(root_, pattern)) {
    any_role = true;
    if (role.empty() || slot_at(*root_, path).role() == role) found.push_back(path);
  }
  if (found.empty() && any_role)
    bad_input("pattern {} matches modules, but none of them is a {}", pattern, role);
  if (found.empty())
    bad_input("pattern {} matches no module of the tree; `martlet inspect` shows its paths", pattern);
  // A wrapper around a parent must not come before one around its child.
  std::reverse(found.begin(), found.end());
  return found;
}

ModulePtr TreeEditor::outermost(std::string_view path) const {
  return module_at(*root_, path);
}

ModulePtr TreeEditor::innermost(std::string_view path) const {
  ModulePtr module = module_at(*root_, path);
  while (Slot* slot = wrapped_slot(*module)) module = slot->module();
  return module;
}

void TreeEditor::replace(const std::string& path, ModulePtr module) {
  Slot* place = &slot_at(*root_, path);
  while (Slot* inner = place->module() == nullptr ? nullptr : wrapped_slot(*place->module())) place = inner;
  place->replace(std::move(module));
  note(path);
  if (std::find(replaced_.begin(), replaced_.end(), path) == replaced_.end()) replaced_.push_back(path);
}

void TreeEditor::wrap(const std::string& path, ModulePtr wrapper) {
  const Slot* inside = wrapped_slot(*wrapper);
  if (inside == nullptr || inside->module() != outermost(path))
    failed("a wrapper for {} must hold what stands there", path);
  slot_at(*root_, path).replace(std::move(wrapper));
  note(path);
}

void TreeEditor::set(const std::string& path, Parameter& parameter, const ops::Weight& value) {
  parameter.set(value);
  note(path);
}

void TreeEditor::tie(const std::string& path, Parameter& parameter, const Parameter& other) {
  parameter.tie(other);
  note(path);
}

void TreeEditor::freeze(const std::string& path, Parameter& parameter) {
  parameter.freeze();
  note(path);
}

void TreeEditor::note(const std::string& path) {
  if (std::find(changed_.begin(), changed_.end(), path) == changed_.end()) changed_.push_back(path);
}

}  // namespace martlet::nn

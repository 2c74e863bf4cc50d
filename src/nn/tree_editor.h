#pragma once

// How a rewrite changes a tree: every change goes through here, so that it can be counted, checked and told.

#include <string>
#include <vector>

#include "nn/roles.h"
#include "nn/tree.h"

namespace martlet::nn {

class TreeEditor {
 public:
  explicit TreeEditor(ModulePtr root) : root_(std::move(root)) {}

  const ModulePtr& root() const { return root_; }

  /// Paths that match `pattern` and hold a module of `role` (any, when empty), deepest first. Throws BadInput
  /// when there is none, so that a mistyped pattern does not pass for work done.
  std::vector<std::string> find(std::string_view pattern, std::string_view role) const;
  /// What stands at a path inside everything wrapped around it.
  ModulePtr innermost(std::string_view path) const;
  /// With everything wrapped around it.
  ModulePtr outermost(std::string_view path) const;

  /// Puts a module of the same role where the innermost stood.
  void replace(const std::string& path, ModulePtr module);
  /// Puts `wrapper`, which already holds `outermost(path)` in an unnamed slot, around what stands there.
  void wrap(const std::string& path, ModulePtr wrapper);
  /// Gives a parameter of the tree another value of the same shape.
  void set(const std::string& path, Parameter& parameter, const ops::Weight& value);
  /// Lets a parameter of the module at `path` share the value of another, of the same shape.
  void tie(const std::string& path, Parameter& parameter, const Parameter& other);
  /// Takes a parameter of the module at `path` out of what is trained.
  void freeze(const std::string& path, Parameter& parameter);

  /// Paths of modules that were replaced, wrapped, frozen, or got other values; each once.
  const std::vector<std::string>& changed() const { return changed_; }
  const std::vector<std::string>& replaced() const { return replaced_; }

 private:
  void note(const std::string& path);

  ModulePtr root_;
  std::vector<std::string> changed_;
  std::vector<std::string> replaced_;
};

}  // namespace martlet::nn

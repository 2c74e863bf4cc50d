#pragma once

// Paths, patterns and walks over the module tree.
//
// A path names a module: names joined by dots, "layers.3.attention.q_proj". A pattern names many: `*` is any
// one name or part of one, `**` any number of names, `{a,b}` either, `{2..5}` any of these numbers. What
// stands inside a wrapper has the wrapper's path.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/module.h"

namespace martlet::nn {

/// Visits the root (path "") and everything below it, parents first, in order; a wrapper, then what it holds.
void walk(const ModulePtr& root,
          const std::function<void(const std::string& path, const ModulePtr& module)>& visit);
/// Visits every parameter with its path ("norm.weight"); tied ones each at their own path.
void walk_parameters(const Module& root,
                     const std::function<void(const std::string& path, Parameter& parameter)>& visit);

/// The slot at a path. Throws naming the nearest path that exists.
Slot& slot_at(Module& root, std::string_view path);
/// The module at a path ("" is not one), with all that is wrapped around it. Throws as above, or when the
/// slot is empty.
ModulePtr module_at(Module& root, std::string_view path);
/// Puts a module of the same role at a path.
void replace(Module& root, std::string_view path, ModulePtr module);

bool matches(std::string_view pattern, std::string_view path);
/// Paths of all modules that match. Throws BadInput for a broken pattern.
std::vector<std::string> find(const ModulePtr& root, std::string_view pattern);

/// Parameters and bytes, tied ones once.
struct TreeSize {
  int64_t parameters = 0;
  int64_t bytes = 0;
};
TreeSize measure(const Module& root);

}  // namespace martlet::nn

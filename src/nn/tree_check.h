#pragma once

// What must hold of a tree after a rewrite, stated once and checked after every one.
//
// 1. Every place that was filled is filled, by a module of the role it had; below a module that was replaced
//    there may be other places.
// 2. A Linear keeps its widths, an Embedding its entries and width.
// 3. Children and parameters of a module have names of their own, without dots; only a wrapped child has
// none.
// 4. Every parameter has a value of its declared shape, unless the tree had none to begin with.
// 5. Parameters that shared one value and are still there share one value.

#include <map>
#include <string>
#include <vector>

#include "nn/module.h"

namespace martlet::nn {

/// What a tree looked like before: the part of it that a rewrite has to keep.
class TreeSketch {
 public:
  explicit TreeSketch(const ModulePtr& root);

  /// Throws kFailed naming the path and the rule that `root` breaks. `replaced`: paths below which places may
  /// come and go.
  void check(const ModulePtr& root, std::span<const std::string> replaced) const;

 private:
  struct Place {
    std::string_view role;
    std::vector<int64_t> sizes;
  };
  std::map<std::string, Place> places_;
  std::map<std::string, const void*> values_;  // of parameters, by path
  bool has_values_ = true;
};

}  // namespace martlet::nn

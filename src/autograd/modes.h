#pragma once

// The mode of a thread, as the files of this room share it.

#include <vector>

#include "autograd/node.h"

namespace martlet::autograd {

enum class Mode : int {
  kRecords,
  kSilent,
  kCollects,  ///< records nothing, but lists the nodes that would have been inputs (see recompute.h)
};

/// Nodes in the order in which they were met, each once.
class Collection {
 public:
  void add(const std::shared_ptr<Node>& node);
  const std::vector<std::shared_ptr<Node>>& nodes() const { return nodes_; }

 private:
  std::vector<std::shared_ptr<Node>> nodes_;
};

/// While it lives, this thread lists in `collection` what it would record.
class CollectingScope {
 public:
  explicit CollectingScope(Collection& collection);
  ~CollectingScope();
  CollectingScope(const CollectingScope&) = delete;
  CollectingScope& operator=(const CollectingScope&) = delete;

 private:
  Mode before_;
  Collection* collection_before_;
};

}  // namespace martlet::autograd

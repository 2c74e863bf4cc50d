#pragma once

// One backward pass, as backward.cc runs it and recompute.cc within it.

#include <map>
#include <unordered_map>

#include "autograd/backward.h"

namespace martlet::autograd {

class Pass {
 public:
  Pass() = default;
  /// Gradients of `nodes` are not followed further but go to the inputs of the same numbers of `gradients`.
  Pass(const std::vector<std::shared_ptr<Node>>& nodes, Gradients& gradients);

  void run(const std::shared_ptr<Node>& node, Tensor gradient);

  void add(Node& node, std::string_view operation, Tensor gradient);
  /// Whether anything was added for the node yet.
  bool has_sum(Node& node);
  void add_into(Node& node, FunctionRef<void(Tensor& sum)> add_to);

 private:
  struct Pending {
    std::shared_ptr<Node> node;
    int64_t users = 0;  ///< that have not been gone through yet
    bool reached = false;
    Tensor gradient;  ///< of an operation's result; a leaf's is in its node
  };

  void count_users(const std::shared_ptr<Node>& from);
  void finish(Pending& pending);
  void finish_leaf(Node& leaf);
  Tensor& sum_of(Node& node);

  std::unordered_map<const Node*, Pending> pending_;
  std::map<uint64_t, Pending*> ready_;  ///< by number: the highest is next
  std::unordered_map<const Node*, size_t> boundary_;
  Gradients* outside_ = nullptr;
};

}  // namespace martlet::autograd

#pragma once

// A node of the tape: how one value came to be, and what its gradient becomes.

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace martlet::autograd {

class Gradients;

/// Gives the gradients of an operation's inputs, from the one of its result.
using Backward = std::function<void(const Tensor& gradient, Gradients& inputs)>;

/// Called with a leaf's gradient when it is complete. It may change it, take it away or replace it.
using Hook = std::function<void(Tensor& gradient)>;

/// A recorded value. Either a leaf, which keeps its gradient, or the result of an operation, whose backward
/// function is called once and then freed together with all that it saved.
///
/// Invariants: an input's number is lower than its user's, so that going from high to low numbers is a
/// topological order, and the reverse of the order of recording. A backward function holds no tensor whose
/// node is its own.
class Node {
 public:
  /// A leaf for values like `value`.
  Node(std::string_view name, const Tensor& value);
  /// The result of an operation. Inputs without a gradient are null.
  Node(std::string_view name, const Tensor& value, std::vector<std::shared_ptr<Node>> inputs,
       Backward backward);
  /// Chains of any length: nodes that go with this one are destroyed one after another, not within each
  /// other.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  std::string_view name() const { return name_; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  uint64_t number() const { return number_; }
  bool is_leaf() const { return leaf_; }
  /// An operation's node whose backward function was called already.
  bool is_freed() const { return !leaf_ && !backward_; }
  const std::vector<std::shared_ptr<Node>>& inputs() const { return inputs_; }
  /// "multiply f32[2, 3] on cpu".
  std::string to_string() const;

  /// Hands out the backward function and the inputs, for their only use.
  Backward take_backward();
  std::vector<std::shared_ptr<Node>> take_inputs() { return std::move(inputs_); }

  // Of leaves.
  Tensor gradient;  ///< the sum so far; or nothing
  std::vector<Hook> hooks;

 private:
  std::string_view name_;
  Shape shape_;
  DType dtype_;
  Device device_;
  uint64_t number_;
  bool leaf_;
  std::vector<std::shared_ptr<Node>> inputs_;
  Backward backward_;
};

/// Backward functions that still wait to be called, in the whole process: while there are any, a tensor whose
/// storage somebody else holds may be saved by one of them.
int64_t waiting_backwards();

/// While it lives, counts as one more of them.
class WaitingScope {
 public:
  WaitingScope();
  ~WaitingScope();
  WaitingScope(const WaitingScope&) = delete;
  WaitingScope& operator=(const WaitingScope&) = delete;
};

}  // namespace martlet::autograd

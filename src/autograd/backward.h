#pragma once

// From the gradient of one value to those of all leaves that it was computed from.

#include "autograd/node.h"
#include "base/function_ref.h"

namespace martlet::autograd {

class Pass;

/// Where a backward function puts the gradients of its inputs.
class Gradients {
 public:
  /// Whether input number `input` has a gradient at all; what is added to the others is dropped.
  bool needs(size_t input) const { return inputs_[input] != nullptr; }
  /// Adds to the gradient of an input: its shape, dtype and device, any layout. Summed in place where nobody
  /// else holds the elements.
  void add(size_t input, Tensor gradient);
  /// Lets `add_to` add to the sum itself, which is dense: zeros where nothing was added yet. For gradients of
  /// few elements among many (slices, rows of a table).
  void add_into(size_t input, FunctionRef<void(Tensor& sum)> add_to);
  /// `first` where nothing was added yet, which spares the zeros; `add_to` as above where there was.
  void add_into_or_set(size_t input, FunctionRef<Tensor()> first, FunctionRef<void(Tensor& sum)> add_to);

 private:
  friend class Pass;
  Gradients(Pass& pass, std::string_view operation, const std::vector<std::shared_ptr<Node>>& inputs)
      : pass_(pass), operation_(operation), inputs_(inputs) {}

  Pass& pass_;
  std::string_view operation_;
  const std::vector<std::shared_ptr<Node>>& inputs_;
};

/// Adds the gradients of `value` with respect to its leaves to what they have. `gradient` is that of the
/// value itself, of its shape and dtype; may be left out for a value of one element, where it is 1. Throws
/// when no gradient was recorded for `value`.
///
/// Operations are gone through in the reverse of the order in which they were recorded, each after all that
/// used its result; so sums have one order. What an operation saved is freed as soon as it has been gone
/// through, and a recorded value serves for one backward. Memory belongs to the owner "gradients".
void backward(const Tensor& value, const Tensor& gradient = {});

}  // namespace martlet::autograd

#pragma once

// Recording: what an operation calls so that its result has a gradient. See README.md of this room.

#include <initializer_list>
#include <span>

#include "autograd/node.h"

namespace martlet::autograd {

/// While it lives, this thread records nothing.
class NoGradient {
 public:
  NoGradient();
  ~NoGradient();
  NoGradient(const NoGradient&) = delete;
  NoGradient& operator=(const NoGradient&) = delete;

 private:
  int before_;
};

/// While it lives, this thread records again, whatever holds around it.
class WithGradient {
 public:
  WithGradient();
  ~WithGradient();
  WithGradient(const WithGradient&) = delete;
  WithGradient& operator=(const WithGradient&) = delete;

 private:
  int before_;
};

/// Whether this thread records now: it does, unless a NoGradient says otherwise.
bool is_recording();

namespace internal {
/// Whether the mode allows to record something of these inputs, some of which have nodes.
bool allowed(std::initializer_list<const Tensor*> inputs);
bool allowed(std::span<const Tensor> inputs);
}  // namespace internal

/// Whether a result of these inputs is to be recorded: one of them has a gradient and the mode allows it.
/// Costs a comparison for each input otherwise.
template <typename... Tensors>
bool needed(const Tensor& first, const Tensors&... rest) {
  return ((first.node() != nullptr) || ... || (rest.node() != nullptr)) &&
         internal::allowed({&first, &rest...});
}
bool needed(std::span<const Tensor> inputs);

/// Makes `result` the value of a new node. `name` must be a literal. `backward` gets the gradient of the
/// result (of its shape and dtype, any layout) and numbers the inputs as they stand here. It may hold copies
/// of tensors, best without their nodes (`detach`); not one that has the node of the result.
void record(Tensor& result, std::string_view name, std::initializer_list<const Tensor*> inputs,
            Backward backward);
void record(Tensor& result, std::string_view name, std::span<const Tensor> inputs, Backward backward);
void record(Tensor& result, std::string_view name, std::vector<std::shared_ptr<Node>> inputs,
            Backward backward);

/// Whether an operation in place may write over x: it is no leaf, and nobody else holds its elements or
/// nobody could need them for a gradient.
inline bool may_overwrite(const Tensor& x) {
  if (x.node() != nullptr && x.node()->is_leaf()) return false;
  return x.owns_storage_alone() || waiting_backwards() == 0;
}

}  // namespace martlet::autograd

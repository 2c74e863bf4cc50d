#pragma once

// How a tensor hangs together with the tape without knowing it: it carries a counted reference to a node of
// the room `autograd`, null for everything that takes part in no gradient, and tells that room about the
// views that are made of it. What is declared here is defined in autograd/views.cc.

#include <functional>
#include <memory>
#include <string_view>

namespace martlet {

class Tensor;

namespace autograd {

class Node;

/// Records `view`, which shows all elements of `whole` in another order or shape. `back` makes a gradient of
/// the whole from one of the view.
void record_rearrangement(std::string_view name, const Tensor& whole, Tensor& view,
                          std::function<Tensor(const Tensor& gradient)> back);
/// Records `view`, which shows some elements of `whole`. `part` gives the same view of another tensor of the
/// whole's shape.
void record_part(std::string_view name, const Tensor& whole, Tensor& view,
                 std::function<Tensor(const Tensor& other)> part);
/// Records `view`, which repeats the elements of `whole` by broadcasting.
void record_expansion(const Tensor& whole, Tensor& view);

}  // namespace autograd
}  // namespace martlet

#include "autograd/recompute.h"

#include "autograd/leaf.h"
#include "autograd/modes.h"
#include "autograd/pass.h"
#include "autograd/record.h"

namespace martlet::autograd {
namespace {

std::vector<Tensor> detached(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> values;
  values.reserve(tensors.size());
  for (const Tensor& tensor : tensors) values.push_back(tensor.detach());
  return values;
}

}  // namespace

Tensor recompute(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                 const std::vector<Tensor>& inputs) {
  if (!is_recording()) return function(inputs);
  Collection used;
  Tensor result;
  {
    const CollectingScope collecting(used);
    // The inputs are saved already: operations in place must leave them alone.
    const WaitingScope saved;
    result = function(detached(inputs)).detach();
  }
  std::vector<std::shared_ptr<Node>> nodes;
  for (const Tensor& input : inputs) nodes.push_back(input.node());
  nodes.insert(nodes.end(), used.nodes().begin(), used.nodes().end());
  bool any = false;
  for (const std::shared_ptr<Node>& node : nodes) any = any || node != nullptr;
  if (!any) return result;

  const auto again = [function, values = detached(inputs), others = used.nodes()](const Tensor& gradient,
                                                                                  Gradients& gradients) {
    std::vector<Tensor> leaves = values;
    std::vector<std::shared_ptr<Node>> boundary;
    for (size_t i = 0; i < leaves.size(); ++i) {
      if (gradients.needs(i)) require_gradient(leaves[i]);
      boundary.push_back(leaves[i].node());
    }
    boundary.insert(boundary.end(), others.begin(), others.end());
    Tensor value;
    {
      const WithGradient recording;
      const OwnerScope owner(Owner::kActivations);
      value = function(leaves);
    }
    const std::shared_ptr<Node> node = value.node();
    value = {};
    if (node != nullptr) Pass(boundary, gradients).run(node, gradient);
  };
  record(result, "recompute", std::move(nodes), again);
  return result;
}

}  // namespace martlet::autograd

#include "autograd/backward.h"

#include "autograd/arithmetic.h"
#include "autograd/pass.h"
#include "autograd/record.h"
#include "base/error.h"

namespace martlet::autograd {
namespace {

bool may_add_in_place(const Tensor& sum) {
  return sum.owns_storage_alone() && !sum.is_read_only();
}

Tensor one_for(const Tensor& value) {
  if (value.element_count() != 1)
    failed("backward of {} takes the gradient of its elements; only a single one has 1", value.to_string());
  switch (value.dtype()) {
    case DType::kBF16:
      return Tensor::from(std::vector<BF16>{to_bf16(1.0f)}, value.shape(), value.device());
    case DType::kF16:
      return Tensor::from(std::vector<F16>{to_f16(1.0f)}, value.shape(), value.device());
    default:
      return Tensor::from(std::vector<float>{1.0f}, value.shape(), value.device());
  }
}

}  // namespace

void Gradients::add(size_t input, Tensor gradient) {
  if (needs(input)) pass_.add(*inputs_[input], operation_, std::move(gradient));
}

void Gradients::add_into(size_t input, FunctionRef<void(Tensor& sum)> add_to) {
  if (needs(input)) pass_.add_into(*inputs_[input], add_to);
}

void Gradients::add_into_or_set(size_t input, FunctionRef<Tensor()> first,
                                FunctionRef<void(Tensor& sum)> add_to) {
  if (!needs(input)) return;
  pass_.has_sum(*inputs_[input]) ? add_into(input, add_to) : add(input, first());
}

Pass::Pass(const std::vector<std::shared_ptr<Node>>& nodes, Gradients& gradients) : outside_(&gradients) {
  for (size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i] != nullptr) boundary_.emplace(nodes[i].get(), i);
}

Tensor& Pass::sum_of(Node& node) {
  Pending& pending = pending_.at(&node);
  pending.reached = true;
  return node.is_leaf() ? node.gradient : pending.gradient;
}

bool Pass::has_sum(Node& node) {
  if (const auto outer = boundary_.find(&node); outer != boundary_.end())
    return outside_->pass_.has_sum(*outside_->inputs_[outer->second]);
  return node.is_leaf() ? node.gradient.defined() : pending_.at(&node).gradient.defined();
}

void Pass::add(Node& node, std::string_view operation, Tensor gradient) {
  if (const auto outer = boundary_.find(&node); outer != boundary_.end())
    return outside_->add(outer->second, std::move(gradient));
  if (!gradient.defined() || gradient.shape() != node.shape() || gradient.dtype() != node.dtype() ||
      gradient.device() != node.device())
    failed("the backward of {} gives {} as the gradient of {}", operation, gradient.to_string(),
           node.to_string());
  Tensor& sum = sum_of(node);
  if (!sum.defined()) {
    sum = gradient.detach();
  } else if (may_add_in_place(sum)) {
    add_to_gradient(sum, gradient);
  } else if (may_add_in_place(gradient)) {
    add_to_gradient(gradient, sum);
    sum = gradient.detach();
  } else {
    sum = sum.clone();
    add_to_gradient(sum, gradient);
  }
}

void Pass::add_into(Node& node, FunctionRef<void(Tensor& sum)> add_to) {
  if (const auto outer = boundary_.find(&node); outer != boundary_.end())
    return outside_->add_into(outer->second, add_to);
  Tensor& sum = sum_of(node);
  if (!sum.defined()) {
    sum = Tensor::zeros(node.shape(), node.dtype(), node.device());
  } else if (!may_add_in_place(sum) || !sum.is_contiguous()) {
    sum = sum.clone();
  }
  add_to(sum);
}

void Pass::count_users(const std::shared_ptr<Node>& from) {
  std::vector<std::shared_ptr<Node>> found{from};
  pending_[from.get()].node = from;
  while (!found.empty()) {
    const std::shared_ptr<Node> node = std::move(found.back());
    found.pop_back();
    if (node->is_freed())
      failed("the backward of {} was called before, and what it saved is freed; compute the value again",
             node->to_string());
    for (const std::shared_ptr<Node>& input : node->inputs()) {
      if (input == nullptr || boundary_.contains(input.get())) continue;
      Pending& pending = pending_[input.get()];
      ++pending.users;
      if (pending.node != nullptr) continue;
      pending.node = input;
      found.push_back(input);
    }
  }
}

void Pass::finish_leaf(Node& leaf) {
  Tensor& gradient = leaf.gradient;
  if (!may_add_in_place(gradient) || !gradient.is_contiguous()) gradient = gradient.clone();
  for (const Hook& hook : leaf.hooks) hook(gradient);
}

void Pass::finish(Pending& pending) {
  const std::shared_ptr<Node> node = std::move(pending.node);
  if (node->is_leaf()) {
    if (pending.reached) finish_leaf(*node);
    return;
  }
  const std::vector<std::shared_ptr<Node>> inputs = node->take_inputs();
  {
    // Freed at the end of this block, before the inputs' own turn.
    const Backward backward = node->take_backward();
    const Tensor gradient = std::move(pending.gradient);
    Gradients gradients(*this, node->name(), inputs);
    if (pending.reached) backward(gradient, gradients);
  }
  for (const std::shared_ptr<Node>& input : inputs) {
    if (input == nullptr || boundary_.contains(input.get())) continue;
    Pending& next = pending_.at(input.get());
    if (--next.users > 0) continue;
    // A leaf's hooks may free memory: its turn is now.
    input->is_leaf() ? finish(next) : void(ready_.emplace(input->number(), &next));
  }
}

void Pass::run(const std::shared_ptr<Node>& node, Tensor gradient) {
  if (const auto outer = boundary_.find(node.get()); outer != boundary_.end())
    return outside_->add(outer->second, std::move(gradient));
  count_users(node);
  add(*node, "the whole", std::move(gradient));
  ready_.emplace(node->number(), &pending_.at(node.get()));
  while (!ready_.empty()) {
    const auto last = std::prev(ready_.end());
    Pending& next = *last->second;
    ready_.erase(last);
    finish(next);
  }
}

void backward(const Tensor& value, const Tensor& gradient) {
  if (!value.defined() || value.node() == nullptr)
    failed("no gradient was recorded for {}; nothing it was computed from requires one", value.to_string());
  const NoGradient silence;
  const OwnerScope owner(Owner::kGradients);
  Pass pass;
  pass.run(value.node(), gradient.defined() ? gradient.detach() : one_for(value));
}

}  // namespace martlet::autograd

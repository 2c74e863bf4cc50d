#include "nn/parameter.h"

#include "autograd/leaf.h"
#include "nn/module.h"

namespace martlet::nn {

Parameter::Parameter(Module& owner, std::string name, const Shape& shape)
    : name_(std::move(name)), shape_(shape), value_(std::make_shared<Value>()) {
  owner.parameters_.push_back(this);
}

const ops::Weight& Parameter::weight() const {
  if (!value_->weight.defined())
    failed("parameter {} of shape {} has no matrix yet", name_, shape_.to_string());
  return value_->weight;
}

const Tensor& Parameter::tensor() const {
  if (value_->weight.defined()) return value_->weight.dense();
  if (!value_->tensor.defined())
    failed("parameter {} of shape {} has no value yet", name_, shape_.to_string());
  return value_->tensor;
}

void Parameter::set(const ops::Weight& weight) {
  if (weight.shape() != shape_)
    bad_input("parameter {} has shape {}, got {}", name_, shape_.to_string(), weight.shape().to_string());
  if (!weight.is_packed() && !weight.takes_bf16()) return put(weight.dense());
  if (requires_gradient())
    failed("parameter {} requires a gradient, which a {} weight for running has not", name_,
           weight.type_name());
  value_->weight = weight;
}

void Parameter::set(const Tensor& tensor) {
  if (tensor.shape() != shape_)
    bad_input("parameter {} has shape {}, got {}", name_, shape_.to_string(), tensor.shape().to_string());
  put(tensor);
}

void Parameter::put(Tensor tensor) {
  if (value_->leaf != nullptr) {
    if (tensor.dtype() != value_->leaf->dtype() || tensor.device() != value_->leaf->device())
      autograd::require_gradient(tensor);
    else
      tensor.set_node(value_->leaf);
    value_->leaf = tensor.node();
  }
  if (shape_.rank() == 2) {
    value_->weight = ops::Weight(std::move(tensor));
  } else {
    value_->tensor = std::move(tensor);
  }
}

void Parameter::require_gradient(bool required) {
  if (required == requires_gradient()) return;
  if (required && is_frozen()) failed("parameter {} is frozen and requires no gradient", name_);
  Tensor value = tensor().detach();
  if (required) autograd::require_gradient(value);
  value_->leaf = value.node();
  put(std::move(value));
}

void Parameter::freeze() {
  require_gradient(false);
  value_->frozen = true;
}

bool Parameter::requires_gradient() const {
  return value_->leaf != nullptr;
}

const Tensor& Parameter::leaf_value() const {
  if (!requires_gradient()) failed("parameter {} requires no gradient", name_);
  return tensor();
}

const Tensor& Parameter::gradient() const {
  return autograd::gradient_of(leaf_value());
}

void Parameter::clear_gradient() {
  autograd::clear_gradient(leaf_value());
}

void Parameter::on_gradient(std::function<void(Tensor& gradient)> hook) {
  autograd::on_gradient(leaf_value(), std::move(hook));
}

void Parameter::tie(const Parameter& other) {
  if (other.shape_ != shape_)
    failed("cannot tie {} {} to {} {}", name_, shape_.to_string(), other.name_, other.shape_.to_string());
  value_ = other.value_;
}

int64_t Parameter::byte_count() const {
  if (value_->weight.defined()) return value_->weight.byte_count();
  return value_->tensor.defined() ? value_->tensor.byte_count() : 0;
}

std::string_view Parameter::type_name() const {
  if (value_->weight.defined()) return value_->weight.type_name();
  return value_->tensor.defined() ? martlet::name_of(value_->tensor.dtype()) : "none";
}

}  // namespace martlet::nn

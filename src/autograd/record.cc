#include "autograd/record.h"

#include <algorithm>

#include "autograd/modes.h"
#include "base/error.h"

namespace martlet::autograd {
namespace {

thread_local Mode mode = Mode::kRecords;
thread_local Collection* collection = nullptr;

int exchange_mode(Mode next) {
  return static_cast<int>(std::exchange(mode, next));
}

template <typename Range, typename Of>
bool allowed_of(const Range& inputs, Of tensor_of) {
  if (mode == Mode::kCollects)
    for (const auto& input : inputs)
      if (tensor_of(input).node() != nullptr) collection->add(tensor_of(input).node());
  return mode == Mode::kRecords;
}

}  // namespace

NoGradient::NoGradient() : before_(exchange_mode(Mode::kSilent)) {}
NoGradient::~NoGradient() {
  mode = static_cast<Mode>(before_);
}
WithGradient::WithGradient() : before_(exchange_mode(Mode::kRecords)) {}
WithGradient::~WithGradient() {
  mode = static_cast<Mode>(before_);
}

bool is_recording() {
  return mode == Mode::kRecords;
}

void Collection::add(const std::shared_ptr<Node>& node) {
  if (std::find(nodes_.begin(), nodes_.end(), node) == nodes_.end()) nodes_.push_back(node);
}

CollectingScope::CollectingScope(Collection& into)
    : before_(std::exchange(mode, Mode::kCollects)), collection_before_(std::exchange(collection, &into)) {}
CollectingScope::~CollectingScope() {
  mode = before_;
  collection = collection_before_;
}

bool internal::allowed(std::initializer_list<const Tensor*> inputs) {
  return allowed_of(inputs, [](const Tensor* tensor) -> const Tensor& { return *tensor; });
}
bool internal::allowed(std::span<const Tensor> inputs) {
  return allowed_of(inputs, [](const Tensor& tensor) -> const Tensor& { return tensor; });
}

bool needed(std::span<const Tensor> inputs) {
  const bool any = std::any_of(inputs.begin(), inputs.end(),
                               [](const Tensor& tensor) { return tensor.node() != nullptr; });
  return any && internal::allowed(inputs);
}

void record(Tensor& result, std::string_view name, std::initializer_list<const Tensor*> inputs,
            Backward backward) {
  std::vector<std::shared_ptr<Node>> nodes;
  nodes.reserve(inputs.size());
  for (const Tensor* input : inputs) nodes.push_back(input->node());
  record(result, name, std::move(nodes), std::move(backward));
}

void record(Tensor& result, std::string_view name, std::span<const Tensor> inputs, Backward backward) {
  std::vector<std::shared_ptr<Node>> nodes;
  nodes.reserve(inputs.size());
  for (const Tensor& input : inputs) nodes.push_back(input.node());
  record(result, name, std::move(nodes), std::move(backward));
}

void record(Tensor& result, std::string_view name, std::vector<std::shared_ptr<Node>> inputs,
            Backward backward) {
  if (!result.defined() || !is_floating(result.dtype()))
    failed("{} gives {}, which has no gradient", name, result.to_string());
  result.set_node(std::make_shared<Node>(name, result, std::move(inputs), std::move(backward)));
}

}  // namespace martlet::autograd

#include "autograd/node.h"

#include <atomic>

#include "base/error.h"

namespace martlet::autograd {
namespace {

std::atomic<uint64_t> next_number{0};
std::atomic<int64_t> waiting{0};

/// What a destroyed node held.
struct Remains {
  std::vector<std::shared_ptr<Node>> inputs;
  Backward backward;
};

/// Of the outermost destruction on this thread; null when there is none.
thread_local std::vector<Remains>* to_destroy = nullptr;

}  // namespace

Node::Node(std::string_view name, const Tensor& value)
    : name_(name),
      shape_(value.shape()),
      dtype_(value.dtype()),
      device_(value.device()),
      number_(next_number.fetch_add(1, std::memory_order_relaxed)),
      leaf_(true) {}

Node::Node(std::string_view name, const Tensor& value, std::vector<std::shared_ptr<Node>> inputs,
           Backward backward)
    : Node(name, value) {
  leaf_ = false;
  inputs_ = std::move(inputs);
  backward_ = std::move(backward);
  waiting.fetch_add(1, std::memory_order_relaxed);
}

Node::~Node() {
  if (leaf_) return;
  Remains remains{std::move(inputs_), take_backward()};
  if (to_destroy != nullptr) {
    to_destroy->push_back(std::move(remains));
    return;
  }
  std::vector<Remains> queue;
  to_destroy = &queue;
  queue.push_back(std::move(remains));
  while (!queue.empty()) {
    const Remains last = std::move(queue.back());
    queue.pop_back();
  }
  to_destroy = nullptr;
}

std::string Node::to_string() const {
  return fmt::format("{} {}{} on {}", name_, martlet::name_of(dtype_), shape_.to_string(),
                     martlet::name_of(device_));
}

Backward Node::take_backward() {
  if (!backward_) return {};
  waiting.fetch_sub(1, std::memory_order_relaxed);
  return std::exchange(backward_, nullptr);
}

int64_t waiting_backwards() {
  return waiting.load(std::memory_order_relaxed);
}

WaitingScope::WaitingScope() {
  waiting.fetch_add(1, std::memory_order_relaxed);
}
WaitingScope::~WaitingScope() {
  waiting.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace martlet::autograd

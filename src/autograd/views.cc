// What tensor/gradient_link.h declares: the records of views.

#include "autograd/arithmetic.h"
#include "autograd/backward.h"
#include "autograd/record.h"

namespace martlet::autograd {

void record_rearrangement(std::string_view name, const Tensor& whole, Tensor& view,
                          std::function<Tensor(const Tensor& gradient)> back) {
  if (!needed(whole)) return;
  record(view, name, {&whole}, [back = std::move(back)](const Tensor& gradient, Gradients& inputs) {
    inputs.add(0, back(gradient));
  });
}

void record_part(std::string_view name, const Tensor& whole, Tensor& view,
                 std::function<Tensor(const Tensor& other)> part) {
  if (!needed(whole)) return;
  record(view, name, {&whole}, [part = std::move(part)](const Tensor& gradient, Gradients& inputs) {
    inputs.add_into(0, [&](Tensor& sum) { add_to_gradient(part(sum), gradient); });
  });
}

void record_expansion(const Tensor& whole, Tensor& view) {
  if (!needed(whole)) return;
  record(view, "expand", {&whole}, [shape = whole.shape()](const Tensor& gradient, Gradients& inputs) {
    inputs.add(0, sum_to_shape(gradient, shape));
  });
}

}  // namespace martlet::autograd

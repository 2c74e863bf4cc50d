#include "ops/check.h"

#include "base/error.h"

namespace martlet::ops {
namespace {

void require_defined(std::string_view operation, std::string_view argument, const Tensor& tensor) {
  if (!tensor.defined()) failed("{} takes a tensor {}, got nothing", operation, argument);
}

}  // namespace

void require_floating(std::string_view operation, std::string_view argument, const Tensor& tensor) {
  require_defined(operation, argument, tensor);
  if (!is_floating(tensor.dtype()))
    failed("{} takes {} of f32, bf16 or f16, got {}", operation, argument, tensor.to_string());
}

void require_integers(std::string_view operation, std::string_view argument, const Tensor& tensor) {
  require_defined(operation, argument, tensor);
  if (is_floating(tensor.dtype()) || tensor.dtype() == DType::kBool)
    failed("{} takes {} of i64, i32, i8 or u8, got {}", operation, argument, tensor.to_string());
}

void require_shape(std::string_view operation, std::string_view argument, const Tensor& tensor,
                   const Shape& shape) {
  require_defined(operation, argument, tensor);
  if (tensor.shape() != shape)
    failed("{} takes {} of shape {}, got {}", operation, argument, shape.to_string(), tensor.to_string());
}

void require_one_device(std::string_view operation, std::initializer_list<const Tensor*> tensors) {
  const Tensor& first = **tensors.begin();
  for (const Tensor* tensor : tensors)
    if (tensor->defined() && tensor->device() != first.device())
      failed("{} takes tensors of one device, got {} and {}", operation, first.to_string(),
             tensor->to_string());
}

void require_one_dtype(std::string_view operation, std::initializer_list<const Tensor*> tensors) {
  const Tensor& first = **tensors.begin();
  for (const Tensor* tensor : tensors)
    if (tensor->defined() && tensor->dtype() != first.dtype())
      failed("{} takes tensors of one dtype, got {} and {}; cast one of them", operation, first.to_string(),
             tensor->to_string());
}

void require_rows(std::string_view operation, const Tensor& tensor) {
  require_defined(operation, "x", tensor);
  if (tensor.rank() < 1) failed("{} takes at least one dimension, got {}", operation, tensor.to_string());
}

int require_dimension(std::string_view operation, const Tensor& tensor, int dim) {
  require_defined(operation, "x", tensor);
  if (dim < -tensor.rank() || dim >= tensor.rank())
    failed("{} has no dimension {} in {}", operation, dim, tensor.to_string());
  return dim < 0 ? dim + tensor.rank() : dim;
}

}  // namespace martlet::ops

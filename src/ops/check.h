#pragma once

// The checks that operations share. Each throws one sentence that names the operation, what it expects and
// what it got.

#include <initializer_list>
#include <string_view>

#include "tensor/tensor.h"

namespace martlet::ops {

/// f32, bf16 or f16.
void require_floating(std::string_view operation, std::string_view argument, const Tensor& tensor);
/// An integer dtype (not bool).
void require_integers(std::string_view operation, std::string_view argument, const Tensor& tensor);
void require_shape(std::string_view operation, std::string_view argument, const Tensor& tensor,
                   const Shape& shape);
/// All defined ones on the device of the first.
void require_one_device(std::string_view operation, std::initializer_list<const Tensor*> tensors);
void require_one_dtype(std::string_view operation, std::initializer_list<const Tensor*> tensors);
/// At least one dimension.
void require_rows(std::string_view operation, const Tensor& tensor);
/// The dimension in [0, rank), negative ones counted from the end.
int require_dimension(std::string_view operation, const Tensor& tensor, int dim);

}  // namespace martlet::ops

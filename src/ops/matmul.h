#pragma once

#include <optional>

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// y[.., i, j] = sum over l of a[.., i, l] b[.., l, j]. a: [.., m, k], b: [.., k, n], each f32 or bf16 in any
/// layout, so that a transposed factor is a view (`b.transpose(-2, -1)`); the dimensions in front broadcast.
/// Result: [.., m, n] of a's dtype unless `result` says f32 or bf16. Sums run in f32
/// (double on the reference device), in one order that depends on k alone.
Tensor matmul(const Tensor& a, const Tensor& b, std::optional<DType> result = {});

/// sum += a b. sum: f32 [.., m, n], contiguous, of the shape that `matmul` gives; each element is its old
/// value plus the slices of the product's sum one after another.
void matmul_add_in_place(const Tensor& sum, const Tensor& a, const Tensor& b);

/// Of `batch` products [m, k] x [k, n] of elements of `dtype`.
Cost matmul_cost(int64_t batch, int64_t m, int64_t k, int64_t n, DType dtype);

}  // namespace martlet::ops

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ops/unary.h"

namespace martlet::ops {

/// The function that a model's config calls `name` ("silu", "gelu_new", "relu2", ...); nothing when unknown.
std::optional<Unary> find_activation(std::string_view name);
/// All names that `find_activation` knows, separated by ", ", for error messages.
std::string activation_names();

/// Whether it is one of these.
bool is_activation(Unary function);

/// activation(gate) * up, the gate of GLU feed-forwards: SwiGLU with SiLU, GeGLU with one of the GELUs, ReGLU
/// with ReLU. gate, up: equal shapes and dtype, f32, bf16 or f16, any layout; computed in f32, rounded once.
/// Shazeer, "GLU Variants Improve Transformer", 2020.
Tensor gated(Unary activation, const Tensor& gate, const Tensor& up);
/// The same of one tensor [..., 2n] with the gate in its first half: result [..., n].
Tensor gated(Unary activation, const Tensor& gate_and_up);
/// gate = activation(gate) * up: over its elements, or as a new tensor where somebody may need the old ones
/// for a gradient.
void gated_in_place(Unary activation, Tensor& gate, const Tensor& up);
Cost gated_cost(Unary activation, const Shape& gate, DType dtype);

inline Tensor swiglu(const Tensor& gate, const Tensor& up) {
  return gated(Unary::kSilu, gate, up);
}
inline Tensor geglu(const Tensor& gate, const Tensor& up) {
  return gated(Unary::kGelu, gate, up);
}

}  // namespace martlet::ops

#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ops/activation.h"
#include "ops/kernel.h"
#include "ops/rms_norm.h"
#include "ops/weight.h"

namespace martlet::ops {

/// y = x W^T + bias. x: [..., columns] f32 or bf16; W: [rows, columns], any dense or packed type; bias:
/// [rows] f32 or nothing; result: [..., rows] of x's dtype. Sums run in f32 (double on the reference device)
/// and in one fixed order: an output row has the same bits whatever other rows are there and however many
/// threads work.
///
/// An interleaved weight rounds x first, to multiples of (greatest magnitude of 32 or 128 columns) / 127, /
/// 120 (plain codes of four bits) or / 32512 (two int8 codes an activation); products are sums of integers
/// then, and all kernels of it give the same bits.
///
/// A weight that takes bf16 rounds x to it first; sums run in f32, in one order on each instruction set.
Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias = {});

/// y += x W^T + bias in place, with the bits of add_in_place(y, linear(x, weight, bias)). y: f32 or x's dtype
/// [..., rows]. The product of an interleaved weight, or of one that takes bf16 where there are tiles of it,
/// goes into y without a tensor between where no gradient is recorded.
void add_linear_in_place(Tensor& y, const Tensor& x, const Weight& weight, const Tensor& bias = {});

/// A matrix and what is added to its products; also one of several products of the same x.
struct Projection {
  const Weight* weight;
  Tensor bias = {};
};
/// `linear` of each, with the same bits. Where all weights are interleaved, or all take bf16 and there are
/// tiles of it, x is rounded once and the threads are called once. With a norm: of rms_norm(x, ..), which is
/// taken of a row as it is rounded where nothing is recorded, and never written.
std::vector<Tensor> linear_together(const Tensor& x, std::span<const Projection> projections,
                                    const std::optional<RmsNormParameters>& norm = {});

/// gated(activation, products of `gate`, products of `up`), with the bits of that. Of many rows and two
/// interleaved weights of one format neither product is written: their sums are joined as they are there.
/// With a norm: of rms_norm(x, ..), as in linear_together.
Tensor gated_linear(Unary activation, const Tensor& x, const Projection& gate, const Projection& up,
                    const std::optional<RmsNormParameters>& norm = {});

/// The name of the kernel that `linear` would use.
std::string_view linear_kernel(const Tensor& x, const Weight& weight);
Cost linear_cost(int64_t tokens, const Weight& weight);

}  // namespace martlet::ops

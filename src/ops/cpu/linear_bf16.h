#pragma once

// Products of bf16 weights with activations rounded to bf16, on the CPU: tiles of AMX.

#include <span>

#include "ops/cpu/weight_product.h"

namespace martlet::ops::cpu {

/// Whether this processor multiplies bf16 by bf16 faster than f32 by f32. (Intel's vectors of pairs of bf16
/// take twice as long as those of f32: half the speed, measured.)
bool has_fast_bf16();

/// Whether `multiply_bf16` runs here.
bool has_bf16_tiles();

/// All products, of dense bf16 weights on kCpu, x rounded to bf16 once for all and the threads
/// called once; x has the columns of every weight. An output is one sum over the columns in order, whatever
/// the number of tokens or threads: of each 32 columns the products of even and of odd ones make a chain
/// each, from 0 on; the two are added, then that to the sum (see amx_tiles.h).
void multiply_bf16(const ActivationRows& x, std::span<const WeightProduct> products);

}  // namespace martlet::ops::cpu

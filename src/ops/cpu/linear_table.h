#pragma once

// The kernels of one instruction set for every type of weight: include one `lanes_*.h` before.

#include "ops/cpu/linear_templates.h"
#include "ops/cpu/weight_sources.h"

namespace martlet::ops::cpu {
namespace {

template <typename Source>
constexpr TypedLinearKernels typed(std::string_view type_name) {
  return {type_name, kernels_of<Source>(kLanesName)};
}

constexpr TypedLinearKernels kTypedKernels[] = {
    typed<DenseF32>("f32"),       typed<DenseBF16>("bf16"),     typed<DenseF16>("f16"),
    typed<Q4_0>("q4_0"),          typed<Q4_1>("q4_1"),          typed<Q5_0>("q5_0"),
    typed<Q5_1>("q5_1"),          typed<Q8_0>("q8_0"),          typed<Q2K>("q2_k"),
    typed<Q3K>("q3_k"),           typed<Q4K>("q4_k"),           typed<Q5K>("q5_k"),
    typed<Q6K>("q6_k"),           typed<Iq4Nl>("iq4_nl"),       typed<Iq4Xs>("iq4_xs"),
    typed<Int4Zero>("int4_zero"), typed<Int8Zero>("int8_zero"), typed<Int8Codes>("int8"),
};

}  // namespace
}  // namespace martlet::ops::cpu

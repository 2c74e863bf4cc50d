// What it changes: what bf16 weights are multiplied by: activations rounded to bf16, so that products are of
// pairs of bf16, summed in f32. When it pays: on processors that multiply bf16 faster than f32 (tiles of AMX,
// AVX-512 BF16 of AMD): prompts run faster there, with tiles several times; decoding waits for memory either
// way. Cost: the rounding of activations to eight significant bits, of which the mean KL divergence is a
// fortieth of that to int8 (docs/kernels.md); those instructions take subnormal numbers as zero. The weights
// stay as they are stored, and nothing is made of them. Routers of experts keep f32.
//
// Kalamkar et al., "A Study of BFLOAT16 for Deep Learning Training", 2019.
#include "compress/bf16_activations.h"

#include "nn/layers.h"
#include "nn/sparse_experts.h"
#include "ops/cpu/linear_bf16.h"

namespace martlet::compress {
namespace {

bool can_take_bf16(const nn::Parameter& parameter) {
  return parameter.shape().rank() == 2 && parameter.defined() && !parameter.requires_gradient() &&
         parameter.type_name() == name_of(DType::kBF16) && !parameter.weight().takes_bf16();
}

/// What chooses or weighs experts: scores that lie near each other, and few of them.
bool chooses_experts(const nn::TreeEditor& tree, const std::string& path) {
  const size_t name = path.rfind('.');
  return name != std::string::npos &&
         dynamic_cast<const nn::SparseExperts*>(tree.innermost(path.substr(0, name)).get()) != nullptr;
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext&) {
  for (const std::string& path : tree.find(arguments.text("pattern"), nn::Linear::kRole)) {
    const auto linear = std::dynamic_pointer_cast<nn::AffineLinear>(tree.innermost(path));
    if (linear != nullptr && can_take_bf16(linear->weight) && !chooses_experts(tree, path))
      tree.set(path, linear->weight, linear->weight.weight().taking_bf16());
  }
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "linear layers whose bf16 weights take activations so",
     "layers.**"},
};

}  // namespace

const nn::Rewrite kBF16Activations{
    .name = "bf16_activations",
    .summary = "bf16 weights multiplied by activations rounded to bf16",
    .pays =
        "where a processor multiplies bf16 faster than f32, so running a model with bf16 weights brings this "
        "rewrite along there: prompts up to several times faster; costs the rounding of activations to eight "
        "significant bits",
    .source = "Kalamkar et al., \"A Study of BFLOAT16 for Deep Learning Training\", 2019",
    .role = nn::Linear::kRole,
    .exactness = nn::Exactness::kApproximate,
    .arguments = kArguments,
    .on_disk = {},
    .keeps_values = true,
    .apply = apply,
    .effect = [](const nn::ModulePtr&, const nn::Arguments&) { return std::optional(nn::Effect{}); },
};

bool bf16_activations_pay() {
  return ops::cpu::has_fast_bf16();
}

}  // namespace martlet::compress

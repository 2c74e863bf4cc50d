// What it changes: the values of matrices, to 16 bits (or back to 32). When it pays: decoding reads every
// weight once a token, so half the bytes are nearly twice the speed; the memory halves too. Cost: each weight
// is rounded to 8 (bf16) or 11 (f16) significant bits; f16 overflows above 65504.
#include "compress/cast.h"

#include "ops/cast.h"

namespace martlet::compress {
namespace {

constexpr std::string_view kDTypes[] = {"bf16", "f16", "f32"};

DType dtype_named(std::string_view name) {
  return name == "bf16" ? DType::kBF16 : name == "f16" ? DType::kF16 : DType::kF32;
}

/// Calls `visit` for every matrix that is not of `dtype` yet, directly in a module that matches.
template <typename Visit>
void each_matrix(const nn::ModulePtr& root, std::string_view pattern, DType dtype, const Visit& visit) {
  nn::walk(root, [&](const std::string& path, const nn::ModulePtr& module) {
    if (path.empty() || !nn::matches(pattern, path)) return;
    for (nn::Parameter* parameter : module->parameters())
      if (parameter->shape().rank() == 2 && parameter->type_name() != martlet::name_of(dtype))
        visit(path, *parameter);
  });
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext&) {
  const std::string& pattern = arguments.text("pattern");
  const DType dtype = dtype_named(arguments.text("to"));
  tree.find(pattern, "");  // refuses a pattern that matches nothing
  const OwnerScope owner(Owner::kWeights);
  each_matrix(tree.root(), pattern, dtype, [&](const std::string& path, nn::Parameter& parameter) {
    tree.set(path, parameter, ops::Weight(ops::cast(parameter.weight().unpack(), dtype)));
  });
}

std::optional<nn::Effect> effect(const nn::ModulePtr& root, const nn::Arguments& arguments) {
  const DType dtype = dtype_named(arguments.text("to"));
  nn::Effect effect;
  std::vector<const void*> counted;
  each_matrix(root, arguments.text("pattern"), dtype, [&](const std::string&, nn::Parameter& parameter) {
    if (std::find(counted.begin(), counted.end(), parameter.identity()) != counted.end()) return;
    counted.push_back(parameter.identity());
    effect.weight_bytes += parameter.element_count() * size_of(dtype) - parameter.byte_count();
  });
  return effect;
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "modules whose weights are cast", "**"},
    {.name = "to",
     .type = nn::ArgumentType::kChoice,
     .help = "the dtype they get",
     .fallback = "bf16",
     .choices = kDTypes},
};

}  // namespace

const nn::Rewrite kCast{
    .name = "cast",
    .summary = "weights to bf16, f16 or f32",
    .pays =
        "when f32 weights fill memory or bandwidth: half the bytes, nearly twice the decoding speed; costs "
        "the rounding of each weight",
    .source = "IEEE 754-2019; Kalamkar et al., \"A Study of BFLOAT16\", 2019",
    .role = {},
    .exactness = nn::Exactness::kApproximate,
    .arguments = kArguments,
    .on_disk = "the weights themselves, in the new dtype",
    .apply = apply,
    .effect = effect,
};

}  // namespace martlet::compress

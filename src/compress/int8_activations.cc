// What it changes: the layout of packed weights, and what multiplies them: activations rounded to int8, to
// multiples of the greatest magnitude among 32 (128 for formats with blocks of 256) / 127, or / 120 for
// plain codes of four bits, so that products are sums of integers. When it pays: on any processor with
// products of bytes; a weight is used as it is read, so that decoding runs as fast as memory, and prompts run
// several times faster than in f32. Cost: the rounding of activations, about 1/400 of a block's greatest one,
// and the time to rearrange the weights when a model is opened. The weights' own values stay what they are.
// The head's rounding goes into the scores as it is (one token of 512 fell 0.5 below the best score): its
// activations have two codes each, which makes them 256 times finer and costs no time, since decoding waits
// for the weights.
//
// Products of int8 activations with packed weights as sums of integers: Jacob et al., "Quantization and
// training of neural networks for efficient integer-arithmetic-only inference", 2018; a scale for each block
// of activations: Dettmers et al., "8-bit optimizers via block-wise quantization", 2022.
#include "compress/int8_activations.h"

#include <algorithm>

#include "ops/cpu/linear_int8.h"
#include "ops/packed/interleaved.h"

namespace martlet::compress {
namespace {

bool can_interleave(const nn::Parameter& parameter) {
  return parameter.shape().rank() == 2 && parameter.defined() && !parameter.requires_gradient() &&
         ops::cpu::interleaved_bytes(parameter.weight()) > 0;
}

/// Calls `visit` with the path, parameter and codes of an activation for every weight of a Linear that
/// matches, directly in it; tied ones once.
template <typename Visit>
void each_weight(const nn::ModulePtr& root, const nn::Arguments& arguments, const Visit& visit) {
  const std::string& pattern = arguments.text("pattern");
  const std::string& fine = arguments.text("fine");
  std::vector<const void*> seen;
  nn::walk(root, [&](const std::string& path, const nn::ModulePtr& module) {
    if (path.empty() || module->role() != nn::Linear::kRole) return;
    const bool is_plain = nn::matches(pattern, path);
    if (!is_plain && !nn::matches(fine, path)) return;
    for (nn::Parameter* parameter : module->parameters()) {
      if (std::find(seen.begin(), seen.end(), parameter->identity()) != seen.end()) continue;
      seen.push_back(parameter->identity());
      visit(path, *parameter, is_plain ? 1 : 2);
    }
  });
}

bool is_interleaved(const nn::Parameter& parameter) {
  return parameter.shape().rank() == 2 && parameter.defined() && parameter.weight().is_interleaved();
}

nn::MadeWeight made_weight(nn::TreeEditor& tree, const std::string& path, nn::Parameter& parameter, int codes,
                           const nn::RewriteContext& context) {
  const int64_t byte_count = ops::cpu::interleaved_bytes(parameter.weight());
  const int64_t rows = parameter.weight().rows();
  const int64_t group_bytes = byte_count / ((rows + ops::kGroupRows - 1) / ops::kGroupRows);
  return {path + "." + parameter.name(),
          byte_count,
          [&parameter, &context, group_bytes, rows](const Tensor& bytes, int64_t begin) {
            const ops::Weight& before = parameter.weight();
            // The same for any number of codes.
            ops::cpu::interleave_groups(before, begin / group_bytes, bytes);
            if (!context.forget) return;
            const int64_t done = (begin + bytes.byte_count()) / group_bytes * ops::kGroupRows;
            // From the first row on: what is read of a page brings its neighbours back.
            context.forget(before.storage().slice(0, 0, std::min(rows, done)));
          },
          [&tree, path, &parameter, codes](const Tensor& bytes) {
            tree.set(path, parameter, ops::cpu::interleaved_from(parameter.weight(), bytes, codes));
          },
          std::string(parameter.weight().format().name),
          group_bytes};
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext& context) {
  tree.find(arguments.text("pattern"), nn::Linear::kRole);  // refuses a pattern that matches nothing
  std::vector<nn::MadeWeight> weights;
  each_weight(tree.root(), arguments, [&](const std::string& path, nn::Parameter& parameter, int codes) {
    // Those that an earlier start has made count as changed.
    if (is_interleaved(parameter))
      tree.set(path, parameter,
               ops::cpu::interleaved_from(parameter.weight(), parameter.weight().storage(), codes));
    else if (can_interleave(parameter))
      weights.push_back(made_weight(tree, path, parameter, codes, context));
  });
  if (weights.empty()) return;
  if (context.make)
    context.make(weights);
  else
    nn::make_together(weights);
}

std::optional<nn::Effect> effect(const nn::ModulePtr& root, const nn::Arguments& arguments) {
  nn::Effect effect;
  each_weight(root, arguments, [&](const std::string&, const nn::Parameter& parameter, int) {
    if (!can_interleave(parameter)) return;
    effect.weight_bytes += ops::cpu::interleaved_bytes(parameter.weight()) - parameter.byte_count();
  });
  return effect;
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "linear layers whose packed weights are rearranged", "layers.**"},
    {"fine", nn::ArgumentType::kPattern,
     "others, whose activations take two int8 codes each: steps of 1/32512 of the greatest", "lm_head"},
};

}  // namespace

const nn::Rewrite kInt8Activations{
    .name = "int8_activations",
    .summary = "packed weights laid out for products of integers, activations rounded to int8",
    .pays =
        "whenever a model with packed weights is run, so running it brings this rewrite along: decoding at "
        "the speed of memory, prompts several times faster; costs "
        "the rounding of activations, to 1/127 of the "
        "greatest of 32 or 128 (1/120 before plain codes of four bits), before the head to 1/32512",
    .source =
        "Jacob et al., \"Quantization and training of neural networks for efficient integer-arithmetic-only "
        "inference\", 2018; Dettmers et al., \"8-bit optimizers via block-wise quantization\", 2022",
    .role = nn::Linear::kRole,
    .exactness = nn::Exactness::kApproximate,
    .arguments = kArguments,
    .on_disk = {},
    .apply = apply,
    .effect = effect,
};

}  // namespace martlet::compress

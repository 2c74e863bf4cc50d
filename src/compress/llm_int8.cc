// What it changes: a Linear's weights become signed bytes with one scale a row, and its activations are
// rounded to signed bytes with one scale a token; activations beyond a threshold, of which large models have
// a few columns that are a hundred times greater than the rest, count as they are. When it pays: a quarter of
// the bytes of f32 and half of those of bf16, decoding nearly as much faster, where the weights were never
// packed; and to reproduce what other tools call load_in_8bit. Packed formats with a scale for each 32
// columns (`quantize to=q8_0`) round less, need no outliers, and run faster. Cost: the rounding of weights
// and of what is below the threshold. Memory: a byte a weight and four a row.
//
// Dettmers et al., "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale", 2022. There a column
// is an outlier when any token of the batch has one in it; here each token decides for itself, so that its
// results do not depend on the others. Weights that meet outliers are the rounded ones, as in the authors'
// program.
#include "compress/llm_int8.h"

#include "nn/layers.h"
#include "ops/binary.h"
#include "ops/outlier_linear.h"

namespace martlet::compress {
namespace {

class OutlierLinear final : public nn::Linear, public nn::Substitute {
 public:
  OutlierLinear(const ops::ByteRows& rows, const std::optional<Tensor>& its_bias, float threshold)
      : weight(*this, "weight", rows.codes.shape()),
        scales(*this, "scales", rows.scales.shape()),
        threshold_(threshold) {
    weight.set(rows.codes);
    scales.set(rows.scales);
    if (!its_bias) return;
    bias.emplace(*this, "bias", Shape{rows.codes.rows()});
    bias->set(*its_bias);
  }
  std::string_view kind() const override { return "OutlierLinear"; }
  std::string details() const override { return fmt::format("outliers beyond {:g}", threshold_); }
  Tensor forward(const Tensor& x) override {
    return ops::outlier_linear(x, {weight.weight(), scales.tensor()}, threshold_,
                               bias ? bias->tensor() : Tensor());
  }
  int64_t in_features() const override { return weight.shape()[1]; }
  int64_t out_features() const override { return weight.shape()[0]; }
  std::vector<std::pair<std::string, Tensor>> plain_parameters() const override {
    std::vector<std::pair<std::string, Tensor>> plain{
        {"weight", ops::multiply(weight.weight().unpack(), scales.tensor().unsqueeze(1))}};
    if (bias) plain.emplace_back("bias", bias->tensor());
    return plain;
  }
  /// Rounding the plain weights again gives these (ops::byte_rows).
  bool is_plain_on_disk() const override { return true; }

  nn::Parameter weight;  ///< codes
  nn::Parameter scales;
  std::optional<nn::Parameter> bias;

 private:
  float threshold_;
};

/// Paths of plain linear layers that match; throws BadInput when there is none.
std::vector<std::string> plain_layers(const nn::TreeEditor& tree, const std::string& pattern) {
  std::vector<std::string> paths;
  for (const std::string& path : tree.find(pattern, nn::Linear::kRole))
    if (std::dynamic_pointer_cast<nn::AffineLinear>(tree.innermost(path)) != nullptr) paths.push_back(path);
  if (paths.empty()) bad_input("no plain linear layer matches {}", pattern);
  return paths;
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext& context) {
  const auto threshold = static_cast<float>(arguments.real("threshold"));
  const OwnerScope owner(Owner::kWeights);
  for (const std::string& path : plain_layers(tree, arguments.text("pattern"))) {
    const auto plain = std::dynamic_pointer_cast<nn::AffineLinear>(tree.innermost(path));
    const ops::Weight before = plain->weight.weight();
    std::optional<Tensor> bias;
    if (plain->bias) bias = plain->bias->tensor();
    try {
      tree.replace(path, std::make_shared<OutlierLinear>(ops::byte_rows(before), bias, threshold));
    } catch (Error& error) {
      throw error.within(path);
    }
    if (context.forget) context.forget(before.storage());
  }
}

std::optional<nn::Effect> effect(const nn::ModulePtr& root, const nn::Arguments& arguments) {
  const nn::TreeEditor tree(root);
  nn::Effect effect;
  for (const std::string& path : plain_layers(tree, arguments.text("pattern"))) {
    const auto plain = std::dynamic_pointer_cast<nn::AffineLinear>(tree.innermost(path));
    effect.weight_bytes +=
        plain->weight.element_count() + 4 * plain->out_features() - plain->weight.byte_count();
  }
  return effect;
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "linear layers that are rounded", "layers.**"},
    {.name = "threshold",
     .type = nn::ArgumentType::kReal,
     .help = "activations of a greater magnitude are not rounded",
     .fallback = "6",
     .low = 0,
     .high = 1e30},
};

}  // namespace

const nn::Rewrite kLlmInt8{
    .name = "llm_int8",
    .summary = "int8 weights and activations, outliers of activations kept",
    .pays =
        "when weights of 16 or 32 bits fill memory or bandwidth: a byte a weight; costs the rounding of "
        "weights (a scale a row) and of activations (a scale a "
        "token) below the threshold. `quantize to=q8_0` rounds "
        "less",
    .source = "Dettmers et al., \"LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale\", 2022",
    .role = nn::Linear::kRole,
    .exactness = nn::Exactness::kApproximate,
    .arguments = kArguments,
    .on_disk = "the rounded weights as f32, rounded to the same bytes when the model is opened",
    .apply = apply,
    .effect = effect,
};

}  // namespace martlet::compress

// What it changes: wraps linear layers so that they multiply factors rounded to bf16 or f16 and sum in f32.
// Weights stay f32, and so do their gradients, the optimiser's state, the residual stream (embedding plus
// what each block adds) and the loss.
//
// bf16: norms hand bf16 on; between them activations are bf16, half the bytes. bf16 has the range of f32, so
// no loss is scaled. When it pays: training on processors that multiply bf16 at twice the speed of f32. Cost:
// 8 significant bits in every factor; losses differ from f32's in the third or fourth digit.
//
// f16: 11 significant bits, and a range of 6e-8 to 65504, in which gradients only lie when the loss is scaled
// (train/loss_scale.h). Activations between products stay f32. When it pays: to train as graphics processors
// without bf16 do, to see whether a recipe bears f16, or for a loss nearer to f32's than bf16's. No faster
// than f32, for processors that sum products of f16 in f32 are not among those that this runs on.
// (Micikevicius et al., "Mixed Precision Training", 2018; Kalamkar et al., "A Study of BFLOAT16 for Deep
// Learning Training", 2019.)
#include "train/mixed.h"

#include "nn/layers.h"
#include "ops/cast.h"
#include "ops/linear_cross_entropy.h"
#include "ops/mixed_linear.h"
#include "train/no_effect.h"

namespace martlet::train {
namespace {

class MixedLinear final : public nn::Linear {
 public:
  MixedLinear(std::shared_ptr<nn::Linear> linear, DType factors)
      : inner(*this, std::string(nn::kWrapped), std::move(linear)), factors_(factors) {}
  std::string_view kind() const override { return "MixedLinear"; }
  std::string details() const override {
    return fmt::format("{} products, f32 sums", martlet::name_of(factors_));
  }
  DType factors() const { return factors_; }

  Tensor forward(const Tensor& x) override {
    const nn::AffineLinear* plain = plain_f32();
    if (plain == nullptr) {
      const Tensor y = inner->forward(x);
      return factors_ == DType::kBF16 ? ops::cast(y, DType::kBF16) : y;
    }
    return ops::mixed_linear(x, plain->weight.weight(), plain->bias ? plain->bias->tensor() : Tensor(),
                             factors_);
  }
  Tensor cross_entropy(const Tensor& x, const Tensor& targets, int64_t ignored, float logit_scale) override {
    const nn::AffineLinear* plain = plain_f32();
    if (plain == nullptr || plain->bias) return Linear::cross_entropy(x, targets, ignored, logit_scale);
    return ops::linear_cross_entropy(
        x, plain->weight.weight(), targets,
        {.factors = factors_, .logit_scale = logit_scale, .ignore_index = ignored});
  }
  int64_t in_features() const override { return inner->in_features(); }
  int64_t out_features() const override { return inner->out_features(); }

  nn::Child<nn::Linear> inner;

 private:
  /// Null where something else was put in its place, or its weight is packed or narrow: that has an
  /// arithmetic of its own.
  const nn::AffineLinear* plain_f32() const {
    const auto* plain = dynamic_cast<const nn::AffineLinear*>(inner.get().get());
    return plain != nullptr && plain->weight.type_name() == martlet::name_of(DType::kF32) ? plain : nullptr;
  }

  DType factors_;
};

class MixedNorm final : public nn::Norm {
 public:
  explicit MixedNorm(std::shared_ptr<nn::Norm> norm)
      : inner(*this, std::string(nn::kWrapped), std::move(norm)) {}
  std::string_view kind() const override { return "MixedNorm"; }
  std::string details() const override { return "to bf16"; }
  Tensor forward(const Tensor& x) override { return inner->forward_as(x, DType::kBF16); }

  nn::Child<nn::Norm> inner;
};

nn::ModulePtr wrapper_around(const nn::ModulePtr& module, DType factors) {
  if (auto linear = std::dynamic_pointer_cast<nn::Linear>(module))
    return std::make_shared<MixedLinear>(std::move(linear), factors);
  if (auto norm = std::dynamic_pointer_cast<nn::Norm>(module); norm != nullptr && factors == DType::kBF16)
    return std::make_shared<MixedNorm>(std::move(norm));
  return nullptr;
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext&) {
  const DType factors = arguments.text("to") == "f16" ? DType::kF16 : DType::kBF16;
  int64_t wrapped = 0;
  for (const std::string& path : tree.find(arguments.text("pattern"), ""))
    if (nn::ModulePtr wrapper = path.empty() ? nullptr : wrapper_around(tree.outermost(path), factors)) {
      tree.wrap(path, std::move(wrapper));
      ++wrapped;
    }
  if (wrapped == 0)
    bad_input("{} matches no linear layer{}, which {} what mixed precision of {} changes",
              arguments.text("pattern"), factors == DType::kBF16 ? " and no norm" : "",
              factors == DType::kBF16 ? "are" : "is", martlet::name_of(factors));
}

constexpr std::string_view kTypes[] = {"bf16", "f16"};

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "linear layers and norms", "**"},
    {.name = "to",
     .type = nn::ArgumentType::kChoice,
     .help = "what factors are rounded to; with f16 the loss is scaled",
     .fallback = "bf16",
     .choices = kTypes},
};

}  // namespace

bool multiplies_f16(const nn::Module& tree) {
  if (const auto* mixed = dynamic_cast<const MixedLinear*>(&tree))
    if (mixed->factors() == DType::kF16) return true;
  for (const nn::Slot* slot : tree.children())
    if (const nn::ModulePtr child = slot->module(); child != nullptr && multiplies_f16(*child)) return true;
  return false;
}

const nn::Rewrite kMixed{
    .name = "mixed",
    .summary = "bf16 or f16 products with f32 sums, weights and residuals",
    .pays =
        "bf16 when training on a processor that multiplies it faster than f32: up to twice the speed and "
        "half the activations; costs 8-bit significands in every factor; f16, with a scaled loss, to train "
        "as processors without bf16 do: 11-bit significands, the speed of f32",
    .source = "Micikevicius et al., \"Mixed Precision Training\", 2018",
    .role = {},
    .exactness = nn::Exactness::kApproximate,
    .arguments = kArguments,
    .on_disk = {},
    .passing = true,
    .apply = apply,
    .effect = no_effect,
};

}  // namespace martlet::train

// What it changes: a Linear of out x in weights becomes two, of r x in and out x r. When it pays: where the
// spectrum falls fast and r < out * in / (out + in), it saves memory, bandwidth and operations in that
// proportion. Cost: the part of W that is cut off; a singular value decomposition of each W, once.
//
// The truncated decomposition is the best approximation of its rank in every unitarily invariant norm (Eckart
// and Young, 1936; Mirsky, 1960). The singular values are shared out as square roots, so that both factors
// have entries of like size, which keeps 16-bit casts of them harmless.
#include "compress/low_rank.h"

#include <algorithm>
#include <cmath>

#include "nn/layers.h"
#include "ops/linear.h"
#include "ops/svd.h"

namespace martlet::compress {
namespace {

/// y = up (down x) + b.
class LowRankLinear final : public nn::Linear, public nn::Substitute {
 public:
  LowRankLinear(int64_t in_features, int64_t out_features, int64_t rank,
                const std::optional<Tensor>& its_bias)
      : down(*this, "down", {rank, in_features}), up(*this, "up", {out_features, rank}) {
    if (!its_bias) return;
    bias.emplace(*this, "bias", Shape{out_features});
    bias->set(*its_bias);
  }
  std::string_view kind() const override { return "LowRankLinear"; }
  std::string details() const override { return fmt::format("rank {}", down.shape()[0]); }
  Tensor forward(const Tensor& x) override {
    return ops::linear(ops::linear(x, down.weight()), up.weight(), bias ? bias->tensor() : Tensor());
  }
  int64_t in_features() const override { return down.shape()[1]; }
  int64_t out_features() const override { return up.shape()[0]; }
  std::vector<std::pair<std::string, Tensor>> plain_parameters() const override {
    std::vector<std::pair<std::string, Tensor>> plain{
        {"weight", ops::linear(up.weight().unpack(),
                               ops::Weight(down.weight().unpack().transpose(0, 1).contiguous()))}};
    if (bias) plain.emplace_back("bias", bias->tensor());
    return plain;
  }

  nn::Parameter down;
  nn::Parameter up;
  std::optional<nn::Parameter> bias;
};

/// The least rank whose singular values hold `energy` of the sum of squares.
int64_t rank_for_energy(const std::vector<float>& singular_values, double energy) {
  double total = 0;
  for (const float value : singular_values) total += double{value} * value;
  double held = 0;
  for (size_t i = 0; i < singular_values.size(); ++i) {
    held += double{singular_values[i]} * singular_values[i];
    if (held >= energy * total) return static_cast<int64_t>(i) + 1;
  }
  return std::max<int64_t>(1, static_cast<int64_t>(singular_values.size()));
}

/// Columns [0, rank) of `columns` [n, k], each times the root of its singular value: [n, rank].
Tensor scaled_columns(const Tensor& columns, const std::vector<float>& singular_values, int64_t rank) {
  const int64_t n = columns.dim(0);
  const std::vector<float> from = columns.to_vector<float>();
  std::vector<float> scaled(static_cast<size_t>(n * rank));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < rank; ++j)
      scaled[static_cast<size_t>(i * rank + j)] =
          static_cast<float>(double{from[static_cast<size_t>(i * columns.dim(1) + j)]} *
                             std::sqrt(double{singular_values[static_cast<size_t>(j)]}));
  return Tensor::from(scaled, {n, rank});
}

std::optional<Tensor> bias_of(const nn::AffineLinear& linear) {
  return linear.bias ? std::optional(linear.bias->tensor()) : std::nullopt;
}

bool saves(const nn::AffineLinear& linear, int64_t rank) {
  return rank * (linear.in_features() + linear.out_features()) < linear.in_features() * linear.out_features();
}

/// Null where the rank that the energy asks for would make the layer no smaller.
std::shared_ptr<LowRankLinear> decomposed(const nn::AffineLinear& linear, const nn::Arguments& arguments) {
  const ops::Svd parts = ops::svd(linear.weight.weight().unpack());
  const std::vector<float> singular_values = parts.s.to_vector<float>();
  const int64_t full = static_cast<int64_t>(singular_values.size());
  int64_t rank = 0;
  if (arguments.has("rank")) {
    rank = std::min(full, arguments.integer("rank"));
  } else {
    rank = rank_for_energy(singular_values, arguments.has("energy") ? arguments.real("energy") : 0.9);
    if (!saves(linear, rank)) return nullptr;
  }
  auto made =
      std::make_shared<LowRankLinear>(linear.in_features(), linear.out_features(), rank, bias_of(linear));
  made->up.set(scaled_columns(parts.u, singular_values, rank));
  made->down.set(scaled_columns(parts.v, singular_values, rank).transpose(0, 1).contiguous());
  return made;
}

const Tensor& saved_tensor(const nn::SavedTensors& saved, const std::string& name) {
  const auto found = saved.find(name);
  if (found == saved.end()) bad_input("the saved tensor {} is missing", name);
  if (found->second.rank() != 2) bad_input("the saved tensor {} is no matrix", name);
  return found->second;
}

std::shared_ptr<LowRankLinear> restored(const nn::AffineLinear& linear, const std::string& path,
                                        const nn::Arguments& arguments, const nn::SavedTensors& saved) {
  if (!arguments.has("rank") && !saved.contains(path + ".down")) return nullptr;  // it was left alone
  const Tensor& down = saved_tensor(saved, path + ".down");
  auto made = std::make_shared<LowRankLinear>(linear.in_features(), linear.out_features(), down.dim(0),
                                              bias_of(linear));
  made->down.set(down);
  made->up.set(saved_tensor(saved, path + ".up"));
  return made;
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext& context) {
  if (arguments.has("rank") && arguments.has("energy")) bad_input("give rank or energy, not both");
  const OwnerScope owner(Owner::kWeights);
  for (const std::string& path : tree.find(arguments.text("pattern"), nn::Linear::kRole)) {
    const auto linear = std::dynamic_pointer_cast<nn::AffineLinear>(tree.innermost(path));
    if (linear == nullptr)
      bad_input("{} is a {}, and only a plain linear layer can be decomposed", path,
                tree.innermost(path)->kind());
    auto made = context.saved != nullptr ? restored(*linear, path, arguments, *context.saved)
                                         : decomposed(*linear, arguments);
    if (made != nullptr) tree.replace(path, std::move(made));
  }
}

std::optional<nn::Effect> effect(const nn::ModulePtr& root, const nn::Arguments& arguments) {
  if (!arguments.has("rank")) return std::nullopt;
  const nn::TreeEditor tree(root);
  nn::Effect effect;
  for (const std::string& path : tree.find(arguments.text("pattern"), nn::Linear::kRole)) {
    const auto linear = std::dynamic_pointer_cast<nn::AffineLinear>(tree.innermost(path));
    if (linear == nullptr) return std::nullopt;
    const int64_t in = linear->in_features();
    const int64_t out = linear->out_features();
    const int64_t kept = std::min({in, out, arguments.integer("rank")}) * (in + out);
    effect.weight_bytes += kept * size_of(DType::kF32) - linear->weight.byte_count();
    effect.operations_per_token += 2.0 * static_cast<double>(kept - in * out);
  }
  return effect;
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "linear layers to decompose", "layers.*.feed_forward.*"},
    {.name = "rank",
     .type = nn::ArgumentType::kInteger,
     .help = "the rank of every one",
     .low = 1,
     .high = 1e6},
    {.name = "energy",
     .type = nn::ArgumentType::kReal,
     .help = "share of squared singular values to keep, if no rank is given (0.9); no layer grows",
     .low = 1e-6,
     .high = 1},
};

}  // namespace

const nn::Rewrite kLowRank{
    .name = "low_rank",
    .summary = "linear layers as products of two thin ones, by singular values",
    .pays =
        "when the spectrum of the weights falls fast: memory, bandwidth and operations shrink by (in + out) "
        "* "
        "rank / (in * out); costs what is cut off, and a decomposition of each weight once",
    .source = "Eckart and Young, \"The approximation of one matrix by another of lower rank\", 1936",
    .role = nn::Linear::kRole,
    .exactness = nn::Exactness::kApproximate,
    .arguments = kArguments,
    .on_disk = "both factors in rewrites.safetensors, and their product in the model's own weights",
    .apply = apply,
    .effect = effect,
};

}  // namespace martlet::compress

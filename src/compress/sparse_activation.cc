// What it changes: a feed-forward layer with a ReLU computes its gate (or, without a gate, its only
// projection before the activation) whole, and then reads the other weights of those neurons alone whose
// activation is not zero; the last projection is kept by neuron, so that a neuron's weights are one piece.
// When it pays: decoding where few neurons fire, as in models trained with ReLU, of which a tenth often do: a
// gated layer then reads 1/3 + 2/3 of that tenth, a plain one half and half of it. Cost: nothing in quality,
// for what a neuron at zero would add is zero; sums in another order; prompts are read more slowly where many
// fire. Weights stay as many as they were.
//
// Mirzadeh et al., "ReLU Strikes Back: Exploiting Activation Sparsity in Large Language Models", 2023; Liu et
// al., "Deja Vu: Contextual Sparsity for Efficient LLMs at Inference Time", 2023, whose predictor the gate
// itself makes needless.
#include "compress/sparse_activation.h"

#include <algorithm>
#include <vector>

#include "nn/layers.h"
#include "ops/binary.h"
#include "ops/chosen_rows.h"
#include "ops/unary.h"

namespace martlet::compress {
namespace {

/// y = x W^T + b, W kept as [in, out]: only the rows of inputs that are not zero are read.
class InputMajorLinear final : public nn::Linear, public nn::Substitute {
 public:
  explicit InputMajorLinear(const nn::AffineLinear& plain)
      : by_input(*this, "by_input", {plain.in_features(), plain.out_features()}) {
    const Tensor& weight = plain.weight.weight().dense();
    by_input.set(weight.transpose(0, 1).contiguous());
    if (!plain.bias) return;
    bias.emplace(*this, "bias", Shape{plain.out_features()});
    bias->set(plain.bias->tensor());
  }
  std::string_view kind() const override { return "InputMajorLinear"; }
  Tensor forward(const Tensor& x) override {
    Tensor y = ops::sum_of_rows(x, by_input.weight());
    if (bias) ops::add_in_place(y, bias->tensor());
    return y;
  }
  int64_t in_features() const override { return by_input.shape()[0]; }
  int64_t out_features() const override { return by_input.shape()[1]; }
  std::vector<std::pair<std::string, Tensor>> plain_parameters() const override {
    std::vector<std::pair<std::string, Tensor>> plain{
        {"weight", by_input.weight().dense().transpose(0, 1).contiguous()}};
    if (bias) plain.emplace_back("bias", bias->tensor());
    return plain;
  }

  nn::Parameter by_input;
  std::optional<nn::Parameter> bias;
};

/// Counts the neurons that fire.
class SparseFeedForward final : public nn::FeedForward {
 public:
  /// `gate` may be null: `up` alone stands before the activation.
  SparseFeedForward(std::shared_ptr<nn::Linear> gate, std::shared_ptr<nn::Linear> up,
                    std::shared_ptr<nn::Linear> down, ops::Unary activation)
      : gate_proj(*this, "gate_proj", std::move(gate)),
        up_proj(*this, "up_proj", std::move(up)),
        down_proj(*this, "down_proj", std::move(down)),
        activation_(activation) {}
  std::string_view kind() const override { return "SparseFeedForward"; }
  std::string details() const override { return std::string(ops::name_of(activation_)); }

  Tensor forward(const Tensor& x) override {
    Tensor fired = (gate_proj ? gate_proj : up_proj)->forward(x);
    ops::unary_in_place({activation_}, fired);
    count(fired);
    if (gate_proj) ops::multiply_in_place(fired, others(x, fired));
    return down_proj->forward(fired);
  }

  double share_read() const { return all_ == 0 ? 0 : static_cast<double>(read_) / static_cast<double>(all_); }

  nn::Child<nn::Linear> gate_proj;  ///< empty in a plain layer
  nn::Child<nn::Linear> up_proj;
  nn::Child<nn::Linear> down_proj;

 private:
  /// What the fired neurons are multiplied by. All neurons' where the weights do not lie by rows.
  Tensor others(const Tensor& x, const Tensor& fired) {
    const auto* up = dynamic_cast<const nn::AffineLinear*>(&*up_proj);
    if (up == nullptr || up->weight.weight().is_interleaved()) return up_proj->forward(x);
    Tensor products = ops::products_where(x, up->weight.weight(), fired);
    if (up->bias) ops::add_in_place(products, up->bias->tensor());
    return products;
  }

  void count(const Tensor& fired) {
    const std::vector<float> values = fired.to_vector<float>();
    read_ += std::count_if(values.begin(), values.end(), [](float value) { return value != 0; });
    all_ += fired.element_count();
  }

  ops::Unary activation_;
  int64_t read_ = 0, all_ = 0;  // of every token and neuron
};

bool gives_zeros(ops::Unary activation) {
  return activation == ops::Unary::kRelu || activation == ops::Unary::kReluSquared;
}

struct Parts {
  std::shared_ptr<nn::Linear> gate, up, down;
  ops::Unary activation;
};

std::optional<Parts> parts_of(const nn::ModulePtr& module) {
  if (const auto* gated = dynamic_cast<const nn::GatedFeedForward*>(module.get()))
    return Parts{gated->gate_proj.get(), gated->up_proj.get(), gated->down_proj.get(), gated->activation()};
  if (const auto* plain = dynamic_cast<const nn::PlainFeedForward*>(module.get()))
    return Parts{nullptr, plain->up_proj.get(), plain->down_proj.get(), plain->activation()};
  return std::nullopt;
}

/// Throws BadInput where the weights are not plain numbers.
const nn::AffineLinear& dense_linear(const std::string& path, const nn::Linear& linear) {
  const auto* plain = dynamic_cast<const nn::AffineLinear*>(&linear);
  if (plain == nullptr)
    bad_input("{} is a {}; sparse_activation comes before rewrites of linear layers", path, linear.kind());
  if (plain->weight.weight().is_packed())
    bad_input("{} is packed as {}; sparse_activation takes f32, bf16 or f16 there", path,
              plain->weight.type_name());
  return *plain;
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext&) {
  const OwnerScope owner(Owner::kWeights);
  for (const std::string& path : tree.find(arguments.text("pattern"), nn::FeedForward::kRole)) {
    const std::optional<Parts> parts = parts_of(tree.innermost(path));
    if (!parts || !gives_zeros(parts->activation))
      bad_input("{} is a {} ({}), and only relu and relu2 give zeros that can be left out", path,
                tree.innermost(path)->kind(), tree.innermost(path)->details());
    auto down = std::make_shared<InputMajorLinear>(dense_linear(path + ".down_proj", *parts->down));
    tree.replace(path, std::make_shared<SparseFeedForward>(parts->gate, parts->up, std::move(down),
                                                           parts->activation));
  }
}

/// How many neurons fire is known when the model runs.
std::optional<nn::Effect> effect(const nn::ModulePtr& root, const nn::Arguments& arguments) {
  const nn::TreeEditor tree(root);
  for (const std::string& path : tree.find(arguments.text("pattern"), nn::FeedForward::kRole)) {
    const std::optional<Parts> parts = parts_of(tree.innermost(path));
    if (parts && gives_zeros(parts->activation)) return std::nullopt;
  }
  bad_input("no feed-forward layer here has relu or relu2, whose zeros could be left out");
}

Json report(const nn::ModulePtr& root) {
  Json rows{Json::Array{}};
  nn::walk(root, [&](const std::string& path, const nn::ModulePtr& module) {
    const auto* sparse = dynamic_cast<const SparseFeedForward*>(module.get());
    if (sparse == nullptr) return;
    Json row;
    rows.push_back(
        row.set("path", path).set("kind", sparse->kind()).set("neurons_read", sparse->share_read()));
  });
  return rows;
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "feed-forward layers with relu or relu2",
     "layers.*.feed_forward"},
};

}  // namespace

const nn::Rewrite kSparseActivation{
    .name = "sparse_activation",
    .summary = "feed-forward layers with a ReLU read the weights of neurons that fire alone",
    .pays =
        "when a model with relu or relu2 decodes and few neurons fire: with a tenth of them a gated layer "
        "reads two fifths of its weights; costs time where prompts are long and many fire",
    .source =
        "Mirzadeh et al., \"ReLU Strikes Back: Exploiting Activation Sparsity in Large Language Models\", "
        "2023",
    .role = nn::FeedForward::kRole,
    .exactness = nn::Exactness::kRounding,
    .arguments = kArguments,
    .on_disk = "the last projections by neuron, beside those that other readers know",
    .apply = apply,
    .effect = effect,
    .report = report,
};

}  // namespace martlet::compress

// What it changes: wraps every module that matches in a probe of the same role. When it pays: looking for
// exploding or dead activations, outliers, the layer where two models part. Cost: one pass over every probed
// output, no memory to speak of.
#include "nn/probe.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/cast.h"

namespace martlet::nn {
namespace {

/// Sums over everything that passed, in double and in the order of time.
class Statistics {
 public:
  void add(const Tensor& output) {
    const Tensor values = ops::cast(output, DType::kF32).to(Device::kCpu).contiguous();
    for (const float value : values.to_vector<float>()) {
      if (!std::isfinite(value)) {
        ++not_finite_;
        continue;
      }
      ++finite_;
      zeros_ += value == 0;
      sum_ += value;
      squares_ += double{value} * value;
      least_ = std::min(least_, double{value});
      greatest_ = std::max(greatest_, double{value});
    }
  }

  Json to_json(const std::string& path, std::string_view kind) const {
    const int64_t count = finite_ + not_finite_;
    Json row;
    row.set("path", path).set("kind", kind).set("elements", count);
    if (finite_ == 0) return row.set("not_finite", count == 0 ? 0.0 : 1.0);
    const auto finite = static_cast<double>(finite_);
    const double mean = sum_ / finite;
    const double square = squares_ / finite;
    row.set("mean", mean).set("std", std::sqrt(std::max(0.0, square - mean * mean)));
    row.set("rms", std::sqrt(square)).set("min", least_).set("max", greatest_);
    row.set("zeros", static_cast<double>(zeros_) / static_cast<double>(count));
    return row.set("not_finite", static_cast<double>(not_finite_) / static_cast<double>(count));
  }

 private:
  int64_t finite_ = 0;
  int64_t not_finite_ = 0;
  int64_t zeros_ = 0;
  double sum_ = 0;
  double squares_ = 0;
  double least_ = std::numeric_limits<double>::infinity();
  double greatest_ = -std::numeric_limits<double>::infinity();
};

/// What every probe is, whatever its role.
class Probing {
 public:
  virtual ~Probing() = default;
  virtual const Module& probed() const = 0;
  Statistics statistics;
};

template <typename Role>
class Probe : public Role, public Probing {
 public:
  explicit Probe(std::shared_ptr<Role> module) : inner(*this, std::string(kWrapped), std::move(module)) {}
  std::string_view kind() const override { return "Probe"; }
  const Module& probed() const override { return *inner; }

  Child<Role> inner;

 protected:
  Tensor watched(Tensor output) {
    statistics.add(output);
    return output;
  }
};

class LinearProbe final : public Probe<Linear> {
 public:
  using Probe::Probe;
  Tensor forward(const Tensor& x) override { return watched(inner->forward(x)); }
  int64_t in_features() const override { return inner->in_features(); }
  int64_t out_features() const override { return inner->out_features(); }
};

class EmbeddingProbe final : public Probe<Embedding> {
 public:
  using Probe::Probe;
  Tensor forward(std::span<const int32_t> ids) override { return watched(inner->forward(ids)); }
  int64_t entries() const override { return inner->entries(); }
  int64_t hidden_size() const override { return inner->hidden_size(); }
};

class NormProbe final : public Probe<Norm> {
 public:
  using Probe::Probe;
  Tensor forward(const Tensor& x) override { return watched(inner->forward(x)); }
};

class AttentionCoreProbe final : public Probe<AttentionCore> {
 public:
  using Probe::Probe;
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v, const Batch& batch) override {
    return watched(inner->forward(q, k, v, batch));
  }
};

class TokenMixerProbe final : public Probe<TokenMixer> {
 public:
  using Probe::Probe;
  Tensor forward(const Tensor& x, const Batch& batch) override { return watched(inner->forward(x, batch)); }
};

class FeedForwardProbe final : public Probe<FeedForward> {
 public:
  using Probe::Probe;
  Tensor forward(const Tensor& x) override { return watched(inner->forward(x)); }
};

class BlockProbe final : public Probe<Block> {
 public:
  using Probe::Probe;
  Tensor forward(Tensor x, const Batch& batch) override {
    return watched(inner->forward(std::move(x), batch));
  }
};

template <typename Role, typename RoleProbe>
ModulePtr probe_if(const ModulePtr& module) {
  auto typed = std::dynamic_pointer_cast<Role>(module);
  return typed == nullptr ? nullptr : std::make_shared<RoleProbe>(std::move(typed));
}

using MakeProbe = ModulePtr (*)(const ModulePtr& module);
constexpr MakeProbe kProbes[] = {
    probe_if<Linear, LinearProbe>,
    probe_if<Embedding, EmbeddingProbe>,
    probe_if<Norm, NormProbe>,
    probe_if<AttentionCore, AttentionCoreProbe>,
    probe_if<TokenMixer, TokenMixerProbe>,
    probe_if<FeedForward, FeedForwardProbe>,
    probe_if<Block, BlockProbe>,
};

ModulePtr probe_around(const ModulePtr& module) {
  for (const MakeProbe make : kProbes)
    if (ModulePtr probe = make(module)) return probe;
  return nullptr;
}

void apply(TreeEditor& tree, const Arguments& arguments, const RewriteContext&) {
  const std::string& pattern = arguments.text("pattern");
  for (const std::string& path : tree.find(pattern, ""))
    if (ModulePtr probe = probe_around(tree.outermost(path))) tree.wrap(path, std::move(probe));
  if (tree.changed().empty()) bad_input("pattern {} matches only lists, which have no output", pattern);
}

std::optional<Effect> effect(const ModulePtr&, const Arguments&) {
  return Effect{};
}

Json report(const ModulePtr& root) {
  Json rows{Json::Array{}};
  walk(root, [&](const std::string& path, const ModulePtr& module) {
    if (const auto* probe = dynamic_cast<const Probing*>(module.get()))
      rows.push_back(probe->statistics.to_json(path, probe->probed().kind()));
  });
  return rows;
}

constexpr ArgumentDeclaration kArguments[] = {
    {"pattern", ArgumentType::kPattern, "modules whose outputs are watched", "layers.*"},
};

}  // namespace

const Rewrite kProbe{
    .name = "probe",
    .summary = "watches the outputs of modules: mean, spread, range, zeros, infinities",
    .pays =
        "when activations explode, die or differ and you want to know where; costs one pass over every "
        "output watched",
    .source = {},
    .role = {},
    .exactness = Exactness::kExact,
    .arguments = kArguments,
    .on_disk = {},
    .apply = apply,
    .effect = effect,
    .report = report,
};

}  // namespace martlet::nn

// What it changes: wraps modules so that of their forward nothing but the input is kept; the backward
// computes the rest again, module by module. When it pays: activations do not fit. With `layers.*` one
// [tokens, hidden] a layer stays, and the activations of one layer at a time; with `layers.*.attention` or
// `layers.*.feed_forward` only those go, for less time. Cost: a second forward of what is wrapped, a third of
// the time of the products of a step at most. Kernels repeat themselves bit for bit, and so do gradients.
#include "train/recompute.h"

#include "autograd/recompute.h"
#include "autograd/record.h"
#include "train/no_effect.h"

namespace martlet::train {
namespace {

template <typename Role>
class Recomputed : public Role {
 public:
  explicit Recomputed(std::shared_ptr<Role> module)
      : inner(*this, std::string(nn::kWrapped), std::move(module)) {}
  std::string_view kind() const override { return "Recomputed"; }

  nn::Child<Role> inner;
};

bool has_caches(const nn::Batch& batch) {
  for (int64_t i = 0; i < batch.sequence_count(); ++i)
    if (batch.cache(i) != nullptr) return true;
  return false;
}

/// Whether a forward is one that must not be repeated, or need not.
bool runs_once(const nn::Batch& batch) {
  return !autograd::is_recording() || has_caches(batch);
}

/// Blocks and token mixers, whose forward takes x and the batch.
template <typename Role>
Tensor forward_again(const std::shared_ptr<Role>& module, const Tensor& x, const nn::Batch& batch) {
  // The backward comes when the caller's batch may be gone.
  return autograd::recompute([module, kept = std::make_shared<const nn::Batch>(batch)](
                                 const std::vector<Tensor>& in) { return module->forward(in[0], *kept); },
                             {x});
}

class RecomputedBlock final : public Recomputed<nn::Block> {
 public:
  using Recomputed::Recomputed;
  Tensor forward(Tensor x, const nn::Batch& batch) override {
    return runs_once(batch) ? inner->forward(std::move(x), batch) : forward_again(inner.get(), x, batch);
  }
};

class RecomputedTokenMixer final : public Recomputed<nn::TokenMixer> {
 public:
  using Recomputed::Recomputed;
  Tensor forward(const Tensor& x, const nn::Batch& batch) override {
    return runs_once(batch) ? inner->forward(x, batch) : forward_again(inner.get(), x, batch);
  }
};

class RecomputedAttentionCore final : public Recomputed<nn::AttentionCore> {
 public:
  using Recomputed::Recomputed;
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v, const nn::Batch& batch) override {
    if (runs_once(batch)) return inner->forward(q, k, v, batch);
    return autograd::recompute(
        [module = inner.get(), kept = std::make_shared<const nn::Batch>(batch)](
            const std::vector<Tensor>& in) { return module->forward(in[0], in[1], in[2], *kept); },
        {q, k, v});
  }
};

class RecomputedFeedForward final : public Recomputed<nn::FeedForward> {
 public:
  using Recomputed::Recomputed;
  Tensor forward(const Tensor& x) override {
    if (!autograd::is_recording()) return inner->forward(x);
    return autograd::recompute(
        [module = inner.get()](const std::vector<Tensor>& in) { return module->forward(in[0]); }, {x});
  }
};

template <typename Role, typename Wrapper>
nn::ModulePtr wrap_if(const nn::ModulePtr& module) {
  auto typed = std::dynamic_pointer_cast<Role>(module);
  return typed == nullptr ? nullptr : std::make_shared<Wrapper>(std::move(typed));
}

nn::ModulePtr wrapper_around(const nn::ModulePtr& module) {
  using Wrap = nn::ModulePtr (*)(const nn::ModulePtr&);
  constexpr Wrap kWraps[] = {
      wrap_if<nn::Block, RecomputedBlock>,
      wrap_if<nn::TokenMixer, RecomputedTokenMixer>,
      wrap_if<nn::AttentionCore, RecomputedAttentionCore>,
      wrap_if<nn::FeedForward, RecomputedFeedForward>,
  };
  for (const Wrap wrap : kWraps)
    if (nn::ModulePtr wrapper = wrap(module)) return wrapper;
  return nullptr;
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext&) {
  for (const std::string& path : tree.find(arguments.text("pattern"), "")) {
    const nn::ModulePtr module = tree.outermost(path);
    nn::ModulePtr wrapper = wrapper_around(module);
    if (wrapper == nullptr)
      bad_input("{} is a {}; what can be computed again are blocks, attention, its cores and feed-forwards",
                path, module->kind());
    tree.wrap(path, std::move(wrapper));
  }
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "blocks, attention, attention cores or feed-forwards",
     "layers.*"},
};

}  // namespace

const nn::Rewrite kRecompute{
    .name = "recompute",
    .summary = "activations are computed again in the backward instead of kept",
    .pays =
        "when activations do not fit while training: with layers.* about one input a layer stays; costs a "
        "second forward, up to a third more time",
    .source = "Chen et al., \"Training Deep Nets with Sublinear Memory Cost\", 2016",
    .role = {},
    .exactness = nn::Exactness::kExact,
    .arguments = kArguments,
    .on_disk = {},
    .passing = true,
    .apply = apply,
    .effect = no_effect,
};

}  // namespace martlet::train

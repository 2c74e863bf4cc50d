#include "plan/run_speed.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "infer/generate.h"
#include "nn/decoder.h"
#include "nn/sparse_experts.h"
#include "nn/tree.h"

namespace martlet::plan {
namespace {

constexpr double kFloat = sizeof(float);

/// Linear layers that read the same rows as one before them, and are multiplied with it in one call
/// (nn::forward_together).
std::set<const nn::Module*> followers(const nn::ModulePtr& tree) {
  std::set<const nn::Module*> all;
  nn::walk(tree, [&](const std::string&, const nn::ModulePtr& module) {
    if (const auto* attention = dynamic_cast<const nn::Attention*>(module.get()))
      all.insert({attention->k_proj.get().get(), attention->v_proj.get().get()});
    if (const auto* gated = dynamic_cast<const nn::GatedFeedForward*>(module.get()))
      all.insert(gated->up_proj.get().get());
  });
  return all;
}

/// Whether the module at `path` sees of a prompt each sequence's last token alone (nn::Model::last_hidden).
/// Rounding x for keys and values is left out there: it counts as the queries'.
bool sees_last_tokens(const nn::Model& tree, std::string_view path) {
  if (dynamic_cast<const nn::DecoderModel*>(&tree) == nullptr) return false;
  const std::string block = fmt::format("layers.{}", tree.shape().layers - 1);
  for (const std::string_view of_all :
       {"attention_norm", "attention.k_proj", "attention.k_norm", "attention.v_proj"})
    if (path == fmt::format("{}.{}", block, of_all)) return false;
  return path == "norm" || path.starts_with(block + ".");
}

/// Seconds of products, and what runs over elements between them.
struct Work {
  double head = 0;       ///< one row for each sequence
  double reading = 0;    ///< of the blocks' weights, once
  double calls = 0;      ///< of these products
  double computing = 0;  ///< of the blocks' products, for a token of many
  double element_calls = 0;
  double element_bytes = 0;  ///< of a token
};

const ProductSpeed& speed_of(const MachineProfile& machine, std::string_view type) {
  const ProductSpeed* speed = machine.find(type);
  if (speed == nullptr) failed("the machine's speed with {} weights was not measured", type);
  return *speed;
}

double block_matrix_bytes(const nn::ModulePtr& tree) {
  double bytes = 0;
  nn::walk(tree, [&](const std::string& path, const nn::ModulePtr& module) {
    if (dynamic_cast<const nn::Linear*>(module.get()) == nullptr || !path.starts_with("layers.")) return;
    for (const nn::Parameter* parameter : module->parameters())
      if (parameter->shape().rank() == 2) bytes += static_cast<double>(parameter->byte_count());
  });
  return bytes;
}

void add_products(Work& work, const nn::Linear& linear, bool in_block, bool follows, double use,
                  const RunGoal& goal, const MachineProfile& machine, const OtherFormats& formats,
                  double bytes_share) {
  for (const nn::Parameter* parameter : linear.parameters()) {
    if (parameter->shape().rank() != 2) continue;
    const bool other = in_block && !formats.weights.empty();
    const ProductSpeed& speed =
        speed_of(machine, other ? formats.weights : product_type(parameter->weight()));
    const double part = nn::part_in_use(use, static_cast<double>(goal.batch));
    const double bytes = static_cast<double>(parameter->byte_count()) * (other ? bytes_share : 1);
    const double reading = part * bytes / speed.one_row_bytes_per_s;
    const double call = follows ? 0 : part * speed.call_seconds;
    if (!in_block) {
      work.head += reading + call;
      continue;
    }
    work.reading += reading;
    work.calls += call;
    const auto rows = static_cast<double>(parameter->shape()[0]),
               columns = static_cast<double>(parameter->shape()[1]);
    work.computing += use * (2 * rows * columns / speed.many_rows_operations_per_s +
                             kFloat * (rows + (follows ? 0 : columns)) * speed.activation_byte_seconds);
  }
}

/// Of the modules whose path `counts`.
template <typename Counts>
Work work_of(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal, const MachineProfile& machine,
             const OtherFormats& formats, const Counts& counts) {
  Work work;
  const std::set<const nn::Module*> following = followers(tree);
  const double share =
      formats.weights.empty() ? 1 : static_cast<double>(formats.block_bytes) / block_matrix_bytes(tree);
  const auto add_elements = [&](double use, double elements) {
    work.element_calls += use;
    work.element_bytes += 2 * kFloat * use * elements;
  };
  nn::walk_with_use(tree, [&](const std::string& path, const nn::ModulePtr& module, double use) {
    if (const auto* attention = dynamic_cast<const nn::Attention*>(module.get())) {
      // Norms of heads are counted as one head's below.
      const nn::AttentionShape& shape = attention->shape();
      if (attention->q_norm && counts(path + ".q_norm"))
        work.element_bytes += 2 * kFloat * static_cast<double>((shape.heads - 1) * shape.head_dim);
      if (attention->k_norm && counts(path + ".k_norm"))
        work.element_bytes += 2 * kFloat * static_cast<double>((shape.key_value_heads - 1) * shape.head_dim);
    }
    if (!counts(path)) return;
    if (const auto* linear = dynamic_cast<const nn::Linear*>(module.get())) {
      add_products(work, *linear, path.starts_with("layers."), following.contains(linear), use, goal, machine,
                   formats, share);
      if (path.starts_with("layers.")) add_elements(use, static_cast<double>(linear->out_features()));
    } else if (dynamic_cast<const nn::Norm*>(module.get()) != nullptr && !module->parameters().empty()) {
      add_elements(use, static_cast<double>(module->parameters().front()->element_count()));
    }
  });
  return work;
}

Work work_of(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal, const MachineProfile& machine,
             const OtherFormats& formats) {
  return work_of(tree, goal, machine, formats, [](std::string_view) { return true; });
}

/// Calls visit(path, kind, window) for the attention of every layer.
template <typename Visit>
void each_attention(const nn::ModulePtr& tree, const RunGoal& goal, const Visit& visit) {
  const nn::Attention* attention = nullptr;
  const int64_t middle = goal.prompt_tokens + (goal.new_tokens + 1) / 2;
  nn::walk(tree, [&](const std::string& path, const nn::ModulePtr& module) {
    if (const auto* outer = dynamic_cast<const nn::Attention*>(module.get())) attention = outer;
    const auto* core = dynamic_cast<const nn::SoftmaxAttention*>(module.get());
    if (core == nullptr || attention == nullptr) return;
    const nn::AttentionShape& shape = attention->shape();
    const int64_t window = core->options().window;
    visit(path,
          AttentionKind{shape.heads, shape.key_value_heads, shape.head_dim, core->cache_format(),
                        window > 0 ? std::min(window, middle) : middle},
          window);
  });
}

const AttentionSpeed& speed_of(const MachineProfile& machine, const AttentionKind& kind) {
  const AttentionSpeed* speed = machine.find(kind);
  if (speed == nullptr)
    failed("the machine's speed of attention with {} heads of {} was not measured", kind.heads,
           kind.head_dim);
  return *speed;
}

/// Pairs of a prompt's token and a position that it sees.
double visible_pairs(int64_t tokens, int64_t window) {
  const auto all = static_cast<double>(tokens);
  const auto most = static_cast<double>(window > 0 ? std::min(window, tokens) : tokens);
  return most * (most + 1) / 2 + (all - most) * most;
}

}  // namespace

std::vector<AttentionKind> attention_kinds(const nn::ModulePtr& tree, const RunGoal& goal, bool all_formats) {
  std::vector<AttentionKind> kinds;
  const auto add = [&](const AttentionKind& kind) {
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  };
  each_attention(tree, goal, [&](std::string_view, AttentionKind kind, int64_t) {
    add(kind);
    for (const ops::CacheFormat format : ops::kAllCacheFormats) {
      kind.format = format;
      if (all_formats) add(kind);
    }
  });
  return kinds;
}

double decode_seconds(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal,
                      const MachineProfile& machine, const OtherFormats& formats) {
  const Work work = work_of(tree, goal, machine, formats);
  const auto batch = static_cast<double>(goal.batch);
  // Rows beyond the first cost what they compute, once that is more than reading the weights.
  double seconds = std::max(work.reading, batch * work.computing) + work.calls + work.head +
                   work.element_calls * machine.elements.call_seconds +
                   batch * work.element_bytes * machine.elements.byte_seconds;
  each_attention(tree, goal, [&](std::string_view, AttentionKind kind, int64_t) {
    kind.format = formats.cache.value_or(kind.format);
    seconds += batch * speed_of(machine, kind).token_seconds;
  });
  return seconds;
}

double prompt_seconds(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal,
                      const MachineProfile& machine) {
  const Work work = work_of(tree, goal, machine, {});
  const Work of_last =
      work_of(tree, goal, machine, {}, [&](std::string_view path) { return sees_last_tokens(*tree, path); });
  const int64_t tokens = goal.batch * goal.prompt_tokens;
  const int64_t forwards = (tokens + infer::kPrefillTokens - 1) / infer::kPrefillTokens;
  const auto rows = static_cast<double>(tokens);
  const auto spared = static_cast<double>(tokens - goal.batch);
  // A short prompt waits for the weights as a token does.
  double seconds =
      std::max(static_cast<double>(forwards) * work.reading,
               rows * work.computing - spared * of_last.computing) +
      static_cast<double>(forwards) * (work.calls + work.element_calls * machine.elements.call_seconds) +
      (rows * work.element_bytes - spared * of_last.element_bytes) * machine.elements.byte_seconds +
      work.head;
  each_attention(tree, goal, [&](std::string_view path, const AttentionKind& kind, int64_t window) {
    const double pairs = visible_pairs(goal.prompt_tokens, window) -
                         (sees_last_tokens(*tree, path) ? visible_pairs(goal.prompt_tokens - 1, window) : 0);
    seconds += static_cast<double>(goal.batch) * pairs * speed_of(machine, kind).pair_seconds;
  });
  return seconds;
}

}  // namespace martlet::plan

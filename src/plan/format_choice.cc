#include "plan/format_choice.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

#include "base/human.h"
#include "compress/kv_cache.h"
#include "compress/quantize.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "plan/quality_loss.h"

namespace martlet::plan {
namespace {

constexpr std::string_view kBlockWeights = "layers.**";
// A plan that loses more must read so much less from disk for every token.
constexpr int64_t kLeastSaved = 5;  // a fifth
// Smaller formats of keys and values are weighed where these take so much of the budget at least.
constexpr uint64_t kLeastCacheShare = 64;
// What a run takes besides weights, cache and activations, where the choice may not depend on what the
// process happens to hold: measured 27 to 34 MiB, and 200 bytes for each token of a vocabulary.
constexpr int64_t kProgram = int64_t{40} << 20;
constexpr int64_t kProgramOfToken = 256;

std::string bytes_text(int64_t bytes) {
  return format_bytes(static_cast<uint64_t>(std::max<int64_t>(bytes, 0)));
}

/// A number of three digits that is no less.
std::string rounded_up(double loss) {
  if (loss <= 0) return "0";
  const double digit = std::pow(10.0, std::floor(std::log10(loss)) - 2);
  return fmt::format("{:.3g}", std::ceil(loss / digit - 1e-9) * digit);
}

nn::Effect effect_of(const nn::Rewrite& rewrite, const nn::ModulePtr& tree, Json values) {
  const nn::Arguments arguments(rewrite.arguments, std::move(values), rewrite.name);
  return rewrite.effect(tree, arguments).value_or(nn::Effect{});
}

/// Of the cache if all layers had this format.
int64_t cache_bytes(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal, ops::CacheFormat format) {
  const nn::Effect effect =
      effect_of(compress::kKvCache, tree, Json().set("format", std::string(ops::name_of(format))));
  return goal.batch * cache_tiles(goal, tree->shape()) *
         (nn::cache_tile_bytes(tree) + effect.cache_tile_bytes);
}

/// The matrices of each block, in bytes; empty where any is packed already.
std::vector<int64_t> unpacked_blocks(const nn::Model& tree) {
  std::vector<int64_t> bytes(static_cast<size_t>(tree.shape().layers));
  bool all_dense = true;
  nn::walk_parameters(tree, [&](const std::string& path, nn::Parameter& parameter) {
    if (!path.starts_with("layers.") || parameter.shape().rank() != 2 || !parameter.defined()) return;
    all_dense &= !parameter.weight().is_packed();
    const auto layer = static_cast<size_t>(std::stoll(path.substr(std::string_view("layers.").size())));
    if (layer < bytes.size()) bytes[layer] += parameter.byte_count();
  });
  if (!all_dense) bytes.clear();
  return bytes;
}

/// What a run needs with packed blocks, whose matrices all lie in the weight cache's file.
MemoryNeeds packed_needs(const std::shared_ptr<nn::Model>& tree, const MemoryNeeds& needs,
                         const std::vector<int64_t>& dense, std::string_view to) {
  MemoryNeeds packed = needs;
  packed.blocks = dense;
  packed.outside += needs.block_bytes() - packed.block_bytes();
  for (size_t i = 0; i < dense.size(); ++i)
    packed.blocks[i] +=
        effect_of(compress::kQuantize, tree,
                  Json().set("to", std::string(to)).set("pattern", fmt::format("layers.{}.**", i)))
            .weight_bytes;
  return packed;
}

/// The formats of keys and values that are smaller than those of `tree`, each with its bytes.
std::vector<std::pair<ops::CacheFormat, int64_t>> smaller_caches(const std::shared_ptr<nn::Model>& tree,
                                                                 const RunGoal& goal, int64_t bytes) {
  std::vector<std::pair<ops::CacheFormat, int64_t>> smaller;
  for (const ops::CacheFormat format : ops::kAllCacheFormats) {
    const int64_t now = cache_bytes(tree, goal, format);
    if (now < bytes) smaller.emplace_back(format, now);
  }
  return smaller;
}

/// All combinations, by growing loss.
std::vector<std::pair<Formats, MemoryNeeds>> candidates(const std::shared_ptr<nn::Model>& tree,
                                                        const RunGoal& goal, const FormatFreedom& freedom,
                                                        const MemoryNeeds& needs) {
  std::vector<std::pair<Formats, MemoryNeeds>> all{{Formats{}, needs}};
  const bool with_caches =
      freedom.cache && static_cast<uint64_t>(needs.cache) >= goal.memory / kLeastCacheShare;
  const auto add_caches = [&](const Formats& formats, const MemoryNeeds& before) {
    if (!with_caches) return;
    for (const auto& [format, bytes] : smaller_caches(tree, goal, before.cache)) {
      Formats smaller = formats;
      smaller.cache = format;
      smaller.loss += cache_loss(format);
      all.emplace_back(smaller, before).second.cache = bytes;
    }
  };
  add_caches({}, needs);
  const std::vector<int64_t> dense = freedom.weights ? unpacked_blocks(*tree) : std::vector<int64_t>{};
  for (const std::string_view to : packed_choices()) {
    if (dense.empty()) break;
    MemoryNeeds packed = packed_needs(tree, needs, dense, to);
    if (packed.block_bytes() >= std::accumulate(dense.begin(), dense.end(), int64_t{0})) continue;
    Formats formats{std::string(to), {}, packing_loss(to)};
    // As every model with packed weights runs, unless its cache is pinned.
    const int64_t half = cache_bytes(tree, goal, ops::CacheFormat::kF16);
    if (freedom.cache && half < packed.cache) {
      formats.cache = ops::CacheFormat::kF16;
      packed.cache = half;
    }
    all.emplace_back(formats, packed);
    add_caches(formats, packed);
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.first.loss < b.first.loss; });
  return all;
}

/// The best of an allowed loss by the rule above; nothing where none fits.
std::optional<size_t> best_of(const std::vector<WeighedFormats>& weighed, double most_loss) {
  std::optional<size_t> best;
  for (size_t i = 0; i < weighed.size(); ++i) {
    if (weighed[i].formats.loss > most_loss || !weighed[i].plan.fits()) continue;
    const int64_t streamed = weighed[i].plan.residency.streamed_bytes;
    if (!best || streamed * kLeastSaved < weighed[*best].plan.residency.streamed_bytes * (kLeastSaved - 1))
      best = i;
  }
  return best;
}

std::vector<WeighedFormats> weighed_with(const std::vector<std::pair<Formats, MemoryNeeds>>& all,
                                         const RunGoal& goal, int64_t program) {
  std::vector<WeighedFormats> weighed;
  for (const auto& [formats, needs] : all) {
    MemoryNeeds with = needs;
    with.program = program;
    weighed.push_back({formats, plan_memory(std::move(with), goal)});
  }
  return weighed;
}

}  // namespace

std::string Formats::to_string() const {
  return fmt::format("weights {}, keys and values {}",
                     weights.empty() ? "as they are" : "of blocks in " + weights,
                     cache ? fmt::format("in {}", ops::name_of(*cache)) : "as they are");
}

int64_t FormatChoice::least() const {
  int64_t least = weighed.front().plan.least;
  for (const WeighedFormats& each : weighed)
    if (each.formats.loss <= most_loss) least = std::min(least, each.plan.least);
  return least;
}

FormatChoice choose_formats(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal,
                            const FormatFreedom& freedom) {
  const MemoryNeeds needs = memory_needs(tree, goal);
  const auto all = candidates(tree, goal, freedom, needs);
  const int64_t program = kProgram + kProgramOfToken * tree->shape().vocabulary_size;
  FormatChoice choice{weighed_with(all, goal, program), 0, freedom.most_loss};
  std::optional<size_t> best = best_of(choice.weighed, freedom.most_loss);
  MemoryNeeds really = best ? choice.weighed[*best].plan.needs : needs;
  really.program = needs.program;
  if (!best || !plan_memory(std::move(really), goal).fits()) {
    // Where nothing fits by that number, what the process really holds may still leave room.
    choice.weighed = weighed_with(all, goal, needs.program);
    best = best_of(choice.weighed, freedom.most_loss);
  }
  choice.chosen = best.value_or(0);
  return choice;
}

std::string why_not(const FormatChoice& choice, const RunGoal& goal) {
  const auto least = std::min_element(choice.weighed.begin(), choice.weighed.end(),
                                      [&](const WeighedFormats& a, const WeighedFormats& b) {
                                        const bool allowed = a.formats.loss <= choice.most_loss;
                                        if (allowed != (b.formats.loss <= choice.most_loss)) return allowed;
                                        return a.plan.least < b.plan.least;
                                      });
  std::string text = why_not(least->plan, goal);
  if (const auto fitting = best_of(choice.weighed, 1e9)) {
    const Formats& formats = choice.weighed[*fitting].formats;
    text +=
        fmt::format("; --loss {} lets it run here, with {}", rounded_up(formats.loss), formats.to_string());
  }
  return text;
}

std::string verdict(const FormatChoice& choice, size_t index, const RunGoal& goal) {
  const WeighedFormats& each = choice.weighed[index];
  const infer::Residency& residency = each.plan.residency;
  const int64_t held = each.plan.needs.others() + each.plan.needs.block_bytes() + each.plan.spare;
  std::string text;
  if (!each.plan.fits())
    text = fmt::format("takes {} at least", bytes_text(each.plan.least));
  else if (residency.streamed_bytes == 0)
    text = fmt::format("takes {}, all of it held", bytes_text(held));
  else
    text = fmt::format("takes {} to be held, {} read from disk for every token", bytes_text(held),
                       bytes_text(residency.streamed_bytes));
  if (each.formats.loss > 0) text += fmt::format("; loses about {:.2g} nats a token", each.formats.loss);
  if (index == choice.chosen && choice.fits()) return text + ": taken";
  if (!each.plan.fits()) return text + fmt::format(", more than {}", format_bytes(goal.memory));
  if (each.formats.loss > choice.most_loss)
    return text + fmt::format(", more than --loss {:.2g}", choice.most_loss);
  const int64_t taken = choice.best().plan.residency.streamed_bytes;
  if (taken < residency.streamed_bytes) return text + ": reads more from disk";
  return text + ": loses more than it saves";
}

std::vector<nn::RewriteRequest> requests_of(const Formats& formats) {
  std::vector<nn::RewriteRequest> requests;
  if (!formats.weights.empty())
    requests.push_back({std::string(compress::kQuantize.name),
                        Json().set("to", formats.weights).set("pattern", std::string(kBlockWeights))});
  if (formats.cache)
    requests.push_back({std::string(compress::kKvCache.name),
                        Json().set("format", std::string(ops::name_of(*formats.cache)))});
  return requests;
}

}  // namespace martlet::plan

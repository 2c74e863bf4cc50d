// What it changes: how attention keeps keys and values of the positions before, nothing of the weights. When
// it pays: a long text's keys and values are read whole for every new token, beside the weights; f16 halves
// them, q8 takes a little more than a quarter, q4 than an eighth. Cost: their rounding, relative 2^-12 for
// f16, 1/254 and 1/16 of the greatest of 32 for q8 and q4. Keys and values are rounded where they are
// computed, so that a token sees the same ones decoded, read with its prompt, or read back from disk.
//
// A scale for 32 elements of one position: Sheng et al., "FlexGen: High-Throughput Generative Inference of
// Large Language Models with a Single GPU", 2023, section 5, with groups along the head.
#include "compress/kv_cache.h"

#include <algorithm>
#include <array>

#include "nn/layers.h"

namespace martlet::compress {
namespace {

constexpr auto kFormats = [] {
  std::array<std::string_view, std::size(ops::kAllCacheFormats)> names;
  std::transform(std::begin(ops::kAllCacheFormats), std::end(ops::kAllCacheFormats), names.begin(),
                 [](ops::CacheFormat format) { return ops::name_of(format); });
  return names;
}();

ops::CacheFormat format_of(const nn::Arguments& arguments) {
  const auto found = std::find(kFormats.begin(), kFormats.end(), arguments.text("format"));
  return ops::kAllCacheFormats[found - kFormats.begin()];
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext&) {
  for (const std::string& path : tree.find(arguments.text("pattern"), nn::AttentionCore::kRole)) {
    const auto core = std::dynamic_pointer_cast<nn::SoftmaxAttention>(tree.innermost(path));
    if (core != nullptr) tree.replace(path, core->with_cache_format(format_of(arguments)));
  }
}

std::optional<nn::Effect> effect(const nn::ModulePtr& root, const nn::Arguments& arguments) {
  nn::Effect effect;
  const nn::AttentionShape* shape = nullptr;
  nn::walk(root, [&](const std::string& path, const nn::ModulePtr& module) {
    if (const auto* attention = dynamic_cast<const nn::Attention*>(module.get())) shape = &attention->shape();
    const auto* core = dynamic_cast<const nn::SoftmaxAttention*>(module.get());
    if (core == nullptr || shape == nullptr || !nn::matches(arguments.text("pattern"), path)) return;
    effect.cache_tile_bytes += nn::cache_tile_bytes(*shape, format_of(arguments)) -
                               nn::cache_tile_bytes(*shape, core->cache_format());
  });
  return effect;
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "attention cores that keep keys and values so", "layers.**"},
    {.name = "format",
     .type = nn::ArgumentType::kChoice,
     .help = "of each key and value",
     .fallback = "f16",
     .choices = kFormats},
};

}  // namespace

const nn::Rewrite kKvCache{
    .name = "kv_cache",
    .summary = "keys and values of earlier positions kept in few bits",
    .pays =
        "when texts are long or many: f16 halves what is kept and read again for every token, q8 and q4 take "
        "about a quarter and an eighth; costs their rounding. Running a model with packed weights brings f16 "
        "along",
    .source =
        "Sheng et al., \"FlexGen: High-Throughput Generative Inference of Large Language Models with a "
        "Single GPU\", 2023",
    .role = nn::AttentionCore::kRole,
    .exactness = nn::Exactness::kApproximate,
    .arguments = kArguments,
    .on_disk = {},
    .apply = apply,
    .effect = effect,
};

}  // namespace martlet::compress

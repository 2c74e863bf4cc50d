#include "models/expert_keys.h"

#include "base/error.h"

namespace martlet::models {
namespace {

constexpr int64_t kMostExperts = 4096;
// Of all layers; the largest models have some twenty thousand. Each is a module, also where a config lies.
constexpr int64_t kMostTogether = int64_t{1} << 16;

}  // namespace

nn::SparseExpertsShape experts_shape(const Fields& config, std::string_view count_key,
                                     std::string_view size_key) {
  const DecoderSizes sizes = decoder_sizes(config);
  nn::SparseExpertsShape shape;
  shape.hidden_size = sizes.model.hidden_size;
  shape.intermediate_size = config.integer_within(size_key, 1, int64_t{1} << 22);
  shape.experts = config.integer_within(count_key, 1, kMostExperts);
  shape.chosen = config.integer_within("num_experts_per_tok", 1, kMostExperts);
  shape.activation = nn::activation_named(config.text("hidden_act", "silu"));
  if (shape.chosen > shape.experts)
    bad_input("{}: num_experts_per_tok is {}, more than the {} experts that {} says", config.source(),
              shape.chosen, shape.experts, count_key);
  if (shape.experts * sizes.model.layers > kMostTogether)
    bad_input("{}: {} experts in each of {} layers are more than the {} that one model may have",
              config.source(), shape.experts, sizes.model.layers, kMostTogether);
  return shape;
}

void experts_to_gguf(const nn::SparseExpertsShape& shape, std::string_view architecture, GgufConfig& to) {
  const auto key = [&](std::string_view name) { return fmt::format("{}.{}", architecture, name); };
  to.pairs.integer(key("expert_count"), shape.experts)
      .integer(key("expert_used_count"), shape.chosen)
      .integer(key("expert_feed_forward_length"), shape.intermediate_size);
}

void experts_from_gguf(const formats::GgufFile& file, std::string_view count_key, Json& config) {
  const formats::GgufMetadata& metadata = file.metadata();
  const std::string architecture(metadata.text("general.architecture"));
  config.set(count_key, metadata.integer(architecture + ".expert_count"));
  config.set("num_experts_per_tok", metadata.integer(architecture + ".expert_used_count"));
}

}  // namespace martlet::models

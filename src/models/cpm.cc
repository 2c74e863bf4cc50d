// CPM-Ant and CPM-Bee, bilingual models of OpenBMB (2022, 2023): RMSNorm before attention and a feed-forward
// gated by GELU, no biases, positions as learned biases of the scores. `cpmant` has its weights as
// transformers has them, with all scales in them; `cpmbee` divides while it runs. Of what CPM-Bee can read, a
// text is read: one segment, all of it predicted.
#include "models/cpm.h"

#include "base/error.h"
#include "models/config_keys.h"
#include "models/cpm_tree.h"

namespace martlet::models {
namespace {

// The task of the prompts that transformers reads before a text.
constexpr int64_t kPromptTask = 2;
constexpr int64_t kMostWidth = int64_t{1} << 22;
constexpr int64_t kMostRows = int64_t{1} << 20;

/// Keys that both have; each may go by the name of the first release.
int64_t size_of(const Fields& config, std::string_view key, std::string_view first_name, int64_t most) {
  return config.integer_within(!config.has(key) && config.has(first_name) ? first_name : key, 1, most);
}

CpmSizes common_sizes(const Fields& config) {
  CpmSizes sizes;
  sizes.model.vocabulary_size = config.integer_within("vocab_size", 1, int64_t{1} << 27);
  sizes.model.hidden_size = size_of(config, "hidden_size", "dim_model", kMostWidth);
  sizes.model.layers = size_of(config, "num_hidden_layers", "num_layers", 4096);
  sizes.heads = size_of(config, "num_attention_heads", "num_heads", kMostWidth);
  sizes.head_dim = config.integer_within("dim_head", 1, kMostWidth);
  sizes.intermediate_size = config.integer_within("dim_ff", 1, kMostWidth);
  sizes.epsilon = norm_epsilon(config, "eps", 1e-6);
  sizes.table_rows = sizes.model.vocabulary_size;
  sizes.attends.assign(static_cast<size_t>(sizes.model.layers), true);
  sizes.feeds.assign(static_cast<size_t>(sizes.model.layers), true);
  return sizes;
}

void set_distances(const Fields& config, int64_t buckets, CpmSizes& sizes) {
  // Of each half of the rows one half is exact, so that there are four at least.
  sizes.buckets = config.integer_within("position_bias_num_buckets", 4, kMostRows, buckets);
  sizes.max_distance = config.integer_within("position_bias_max_distance", 1, int64_t{1} << 31, 2048);
  if (sizes.max_distance <= sizes.buckets / 4)
    bad_input("{}: position_bias_max_distance {} is not past the {} distances that have a row of their own",
              config.source(), sizes.max_distance, sizes.buckets / 4);
}

std::shared_ptr<nn::Model> build_ant(const Fields& config) {
  if (config.has("dim_model"))
    bad_input(
        "{}: 'dim_model' is a key of the first release of CPM-Ant, whose weights have other scales; convert "
        "it for transformers first",
        config.source());
  CpmSizes sizes = common_sizes(config);
  set_distances(config, 512, sizes);
  sizes.segments = config.integer_within("segment_types", 3, 1024, 32);
  sizes.pair_rows = sizes.segments * sizes.segments;
  const int64_t tasks = config.integer_within("prompt_types", kPromptTask + 1, 1024, 32);
  sizes.model.lead_positions = config.integer_within("prompt_length", 1, 1024, 32);
  sizes.table_rows += tasks * sizes.model.lead_positions;
  sizes.first_prompt = sizes.model.vocabulary_size + kPromptTask * sizes.model.lead_positions;
  // Configs say that the head is tied, and it has a table of its own.
  sizes.ties_head = false;
  return build_cpm_tree(sizes);
}

/// `mask_modules` has a pair for every layer: whether its attention is left out, and its feed-forward.
void leave_out(const Fields& config, CpmSizes& sizes) {
  const Json* masks = config.value("mask_modules");
  if (masks == nullptr) return;
  const Json::Array& pairs = masks->array();
  if (static_cast<int64_t>(pairs.size()) != sizes.model.layers)
    bad_input("{}: mask_modules has {} entries for {} layers", config.source(), pairs.size(),
              sizes.model.layers);
  const auto is_set = [](const Json& flag) {
    return flag.is_boolean() ? flag.boolean() : flag.integer() != 0;
  };
  for (size_t layer = 0; layer < pairs.size(); ++layer) {
    const Json::Array& pair = pairs[layer].array();
    if (pair.size() != 2)
      bad_input("{}: mask_modules has {} values for layer {}, expected 2", config.source(), pair.size(),
                layer);
    sizes.attends[layer] = !is_set(pair[0]);
    sizes.feeds[layer] = !is_set(pair[1]);
  }
  // The cache's length is that of its last layer.
  if (!sizes.attends.back())
    bad_input("{}: mask_modules leaves out the attention of the last layer, which is not supported",
              config.source());
}

std::shared_ptr<nn::Model> build_bee(const Fields& config) {
  CpmSizes sizes = common_sizes(config);
  set_distances(config, 256, sizes);
  sizes.pair_rows = config.integer_within("position_bias_num_segment_buckets", 1, kMostRows, 32);
  sizes.ties_head = true;
  sizes.divides = true;
  leave_out(config, sizes);
  return build_cpm_tree(sizes);
}

constexpr WeightName kAntWeights[] = {
    {"embed_tokens.weight", "cpmant.input_embedding.weight", ""},
    {"embed_segments.weight", "cpmant.segment_embedding.weight", ""},
    {"position_bias.relative_attention_bias", "cpmant.position_bias.relative_attention_bias", ""},
    {"layers.{}.attention_norm.weight", "cpmant.encoder.layers.{}.self_att.layernorm_before_attention.weight",
     ""},
    {"layers.{}.attention.q_proj.weight", "cpmant.encoder.layers.{}.self_att.self_attention.project_q.weight",
     ""},
    {"layers.{}.attention.k_proj.weight", "cpmant.encoder.layers.{}.self_att.self_attention.project_k.weight",
     ""},
    {"layers.{}.attention.v_proj.weight", "cpmant.encoder.layers.{}.self_att.self_attention.project_v.weight",
     ""},
    {"layers.{}.attention.o_proj.weight",
     "cpmant.encoder.layers.{}.self_att.self_attention.attention_out.weight", ""},
    {"layers.{}.feed_forward_norm.weight", "cpmant.encoder.layers.{}.ffn.layernorm_before_ffn.weight", ""},
    {"layers.{}.feed_forward.gate_proj.weight", "cpmant.encoder.layers.{}.ffn.ffn.w_in.w_0.weight", ""},
    {"layers.{}.feed_forward.up_proj.weight", "cpmant.encoder.layers.{}.ffn.ffn.w_in.w_1.weight", ""},
    {"layers.{}.feed_forward.down_proj.weight", "cpmant.encoder.layers.{}.ffn.ffn.w_out.weight", ""},
    {"norm.weight", "cpmant.encoder.output_layernorm.weight", ""},
    {"lm_head.weight", "lm_head.weight", ""},
};
constexpr WeightName kBeeWeights[] = {
    {"embed_tokens.weight", "cpmbee.input_embedding.weight", ""},
    {"position_bias.relative_attention_bias", "cpmbee.position_bias.relative_attention_bias", ""},
    {"layers.{}.attention_norm.weight", "cpmbee.encoder.layers.{}.self_att.layernorm_before_attention.weight",
     ""},
    {"layers.{}.attention.q_proj.weight", "cpmbee.encoder.layers.{}.self_att.self_attention.project_q.weight",
     ""},
    {"layers.{}.attention.k_proj.weight", "cpmbee.encoder.layers.{}.self_att.self_attention.project_k.weight",
     ""},
    {"layers.{}.attention.v_proj.weight", "cpmbee.encoder.layers.{}.self_att.self_attention.project_v.weight",
     ""},
    {"layers.{}.attention.o_proj.weight",
     "cpmbee.encoder.layers.{}.self_att.self_attention.attention_out.weight", ""},
    {"layers.{}.feed_forward_norm.weight", "cpmbee.encoder.layers.{}.ffn.layernorm_before_ffn.weight", ""},
    {"layers.{}.feed_forward.gate_proj.weight", "cpmbee.encoder.layers.{}.ffn.ffn.w_in.w_0.weight", ""},
    {"layers.{}.feed_forward.up_proj.weight", "cpmbee.encoder.layers.{}.ffn.ffn.w_in.w_1.weight", ""},
    {"layers.{}.feed_forward.down_proj.weight", "cpmbee.encoder.layers.{}.ffn.ffn.w_out.weight", ""},
    {"norm.weight", "cpmbee.encoder.output_layernorm.weight", ""},
    {"lm_head.weight", "lm_head.weight", ""},
};
constexpr std::string_view kAntPrefixes[] = {"cpmant.", ""};
constexpr std::string_view kBeePrefixes[] = {"cpmbee.", ""};

}  // namespace

const Family kCpmAnt{.name = "cpmant",
                     .build = build_ant,
                     .weights = kAntWeights,
                     .prefixes = kAntPrefixes,
                     .transformers_class = "CpmAntForCausalLM"};
const Family kCpmBee{.name = "cpmbee",
                     .build = build_bee,
                     .weights = kBeeWeights,
                     .prefixes = kBeePrefixes,
                     .transformers_class = "CpmBeeForCausalLM"};

}  // namespace martlet::models

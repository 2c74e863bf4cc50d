#include "models/config_keys.h"

#include "base/error.h"
#include "ops/cast.h"

namespace martlet::models {
namespace {

constexpr int64_t kMostEntries = int64_t{1} << 27;
constexpr int64_t kMostWidth = int64_t{1} << 22;
constexpr int64_t kMostLayers = 4096;

ops::RopeScaling::Kind kind_named(std::string_view name, const std::string& source) {
  using Kind = ops::RopeScaling::Kind;
  if (name == "default") return Kind::kDefault;
  if (name == "linear") return Kind::kLinear;
  if (name == "dynamic") return Kind::kDynamic;
  if (name == "yarn") return Kind::kYarn;
  if (name == "longrope" || name == "su") return Kind::kLongrope;
  if (name == "llama3") return Kind::kLlama3;
  bad_input("{}: unknown rope type \"{}\"; supported are default, linear, dynamic, yarn, longrope, llama3",
            source, name);
}

std::vector<double> reals(const Fields& fields, std::string_view key) {
  std::vector<double> values;
  if (const Json* list = fields.value(key))
    for (const Json& value : list->array()) values.push_back(value.real());
  return values;
}

/// The table that holds the rotation's keys, and where it stands.
const Json* rope_table_of(const Fields& config, std::string_view layer_type) {
  const Json* table = config.value("rope_parameters");
  if (table == nullptr) return config.value("rope_scaling");
  if (!layer_type.empty())
    if (const Json* of_type = table->find(layer_type)) return of_type;
  return table;
}

/// An entry of `layer_types`.
bool is_sliding(const Fields& config, const Json& type) {
  if (type.string() == "sliding_attention") return true;
  if (type.string() != "full_attention")
    bad_input("{}: unknown layer type \"{}\" in layer_types; supported are full_attention, sliding_attention",
              config.source(), type.string());
  return false;
}

Json factors_of(const formats::GgufFile& file, std::string_view name) {
  Json::Array factors;
  for (const float factor : ops::cast(file.tensors().tensor(name), DType::kF32).to_vector<float>())
    factors.emplace_back(static_cast<double>(factor));
  return factors;
}

/// The scaling as Hugging Face writes it; null where there is none.
Json rope_scaling_from_gguf(const formats::GgufFile& file, std::string_view architecture) {
  const formats::GgufMetadata& metadata = file.metadata();
  const auto key = [&](std::string_view name) {
    return fmt::format("{}.rope.scaling.{}", architecture, name);
  };
  Json rope;
  if (file.tensors().has("rope_freqs.weight")) {
    // A divisor for every pair: what longrope calls its factors, with nothing done to the attention.
    const Json factors = factors_of(file, "rope_freqs.weight");
    rope.set("rope_type", "longrope");
    rope.set("short_factor", factors);
    rope.set("long_factor", factors);
    rope.set("attention_factor", 1.0);
    rope.set("factor", 1.0);
    return rope;
  }
  // Converters of phi3 write no type beside them.
  const bool has_factors = file.tensors().has("rope_factors_long.weight");
  const std::string_view kind = has_factors ? "longrope" : metadata.text(key("type"), "none");
  if (kind == "none") return rope;
  if (kind != "linear" && kind != "yarn" && kind != "longrope")
    bad_input("unknown {} \"{}\"; supported are none, linear, yarn, longrope", key("type"), kind);
  rope.set("rope_type", kind);
  if (metadata.has(key("factor"))) rope.set("factor", metadata.real(key("factor")));
  if (metadata.has(key("original_context_length")))
    rope.set("original_max_position_embeddings", metadata.integer(key("original_context_length")));
  if (kind != "longrope") return rope;
  rope.set("short_factor", factors_of(file, "rope_factors_short.weight"));
  rope.set("long_factor", factors_of(file, "rope_factors_long.weight"));
  if (metadata.has(key("attn_factor"))) rope.set("attention_factor", metadata.real(key("attn_factor")));
  return rope;
}

}  // namespace

DecoderSizes decoder_sizes(const Fields& config) {
  DecoderSizes sizes;
  sizes.model.vocabulary_size = config.integer_within("vocab_size", 1, kMostEntries);
  sizes.model.hidden_size = config.integer_within("hidden_size", 1, kMostWidth);
  sizes.model.layers = config.integer_within("num_hidden_layers", 1, kMostLayers);
  sizes.model.max_positions = config.integer_within("max_position_embeddings", 1, int64_t{1} << 31, 2048);
  sizes.intermediate_size = config.integer_within("intermediate_size", 1, kMostWidth);
  nn::AttentionShape& attention = sizes.attention;
  attention.hidden_size = sizes.model.hidden_size;
  attention.heads = config.integer_within("num_attention_heads", 1, kMostWidth);
  attention.key_value_heads = config.integer_within("num_key_value_heads", 1, kMostWidth, attention.heads);
  if (attention.heads % attention.key_value_heads != 0)
    bad_input("{}: num_attention_heads {} is no multiple of num_key_value_heads {}", config.source(),
              attention.heads, attention.key_value_heads);
  if (!config.has("head_dim") && attention.hidden_size % attention.heads != 0)
    bad_input("{}: hidden_size {} is no multiple of num_attention_heads {}, and there is no head_dim",
              config.source(), attention.hidden_size, attention.heads);
  attention.head_dim =
      config.integer_within("head_dim", 1, kMostWidth, attention.hidden_size / attention.heads);
  return sizes;
}

double norm_epsilon(const Fields& config, std::string_view key, double fallback) {
  const double epsilon = config.real(key, fallback);
  if (!(epsilon >= 0 && epsilon <= 1))
    bad_input("{}: '{}' must be from 0 to 1, got {}", config.source(), key, epsilon);
  return epsilon;
}

std::shared_ptr<const ops::RopeScaling> rope_scaling(const Fields& config, int64_t head_dim,
                                                     int64_t max_positions, std::string_view layer_type) {
  auto scaling = std::make_shared<ops::RopeScaling>();
  scaling->base = config.real("rope_theta", 10000.0);
  scaling->max_positions = max_positions;
  double rotated_share = config.real("partial_rotary_factor", 1.0);
  const Json* table = rope_table_of(config, layer_type);
  if (table != nullptr) {
    if (!table->is_object())
      bad_input("{}: rope_parameters must be a table, got {}", config.source(), table->kind_name());
    const Fields rope(*table, config.source() + ": rope_parameters");
    scaling->kind = kind_named(rope.text("rope_type", rope.text("type", "default")), config.source());
    scaling->base = rope.real("rope_theta", scaling->base);
    rotated_share = rope.real("partial_rotary_factor", rotated_share);
    scaling->factor = rope.real("factor", 0.0);
    scaling->original_positions = rope.integer("original_max_position_embeddings",
                                               config.integer("original_max_position_embeddings", 0));
    scaling->low_frequency_factor = rope.real("low_freq_factor", 1.0);
    scaling->high_frequency_factor = rope.real("high_freq_factor", 4.0);
    scaling->beta_fast = rope.real("beta_fast", 32.0);
    scaling->beta_slow = rope.real("beta_slow", 1.0);
    scaling->truncate = rope.boolean("truncate", true);
    if (rope.has("mscale")) scaling->mscale = rope.real("mscale");
    if (rope.has("mscale_all_dim")) scaling->mscale_all_dimensions = rope.real("mscale_all_dim");
    if (rope.has("attention_factor")) scaling->attention_factor = rope.real("attention_factor");
    scaling->short_factor = reals(rope, "short_factor");
    scaling->long_factor = reals(rope, "long_factor");
  }
  scaling->dimensions = static_cast<int64_t>(static_cast<double>(head_dim) * rotated_share);
  if (scaling->dimensions < 2 || scaling->dimensions > head_dim || scaling->dimensions % 2 != 0)
    bad_input("{}: rotary positions need an even number of a head's {} elements, got {}", config.source(),
              head_dim, scaling->dimensions);
  try {
    // What cannot rotate one position is told now, not at the first prompt.
    ops::rope_frequencies(*scaling, 1);
  } catch (Error& error) {
    throw error.within(config.source());
  }
  return scaling;
}

std::vector<int64_t> layer_windows(const Fields& config, int64_t layers, int64_t window,
                                   bool (*otherwise)(const Fields&, int64_t)) {
  std::vector<int64_t> windows(static_cast<size_t>(layers), 0);
  const Json* types = config.value("layer_types");
  if (types != nullptr && static_cast<int64_t>(types->array().size()) != layers)
    bad_input("{}: layer_types has {} entries for {} layers", config.source(), types->array().size(), layers);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const bool slides = types != nullptr ? is_sliding(config, types->array()[static_cast<size_t>(layer)])
                                         : otherwise(config, layer);
    if (slides) windows[static_cast<size_t>(layer)] = window;
  }
  return windows;
}

Json decoder_config_from_gguf(const formats::GgufFile& file, std::string_view model_type, bool part_rotates) {
  const formats::GgufMetadata& metadata = file.metadata();
  const std::string architecture(metadata.text("general.architecture"));
  const auto key = [&](std::string_view name) { return fmt::format("{}.{}", architecture, name); };
  Json config;
  config.set("model_type", model_type);
  config.set("vocab_size", file.tensors().info("token_embd.weight").shape.dim(0));
  config.set("hidden_size", metadata.integer(key("embedding_length")));
  config.set("num_hidden_layers", metadata.integer(key("block_count")));
  config.set("intermediate_size", metadata.integer(key("feed_forward_length")));
  const int64_t heads = metadata.integer(key("attention.head_count"));
  config.set("num_attention_heads", heads);
  config.set("num_key_value_heads", metadata.integer(key("attention.head_count_kv"), heads));
  config.set("max_position_embeddings", metadata.integer(key("context_length"), 2048));
  if (metadata.has(key("attention.key_length")))
    config.set("head_dim", metadata.integer(key("attention.key_length")));
  if (metadata.has(key("rope.dimension_count")) && heads > 0) {
    const int64_t head_dim =
        metadata.integer(key("attention.key_length"), config.at("hidden_size").integer() / heads);
    const int64_t rotated = metadata.integer(key("rope.dimension_count"));
    if (part_rotates && head_dim > 0)
      config.set("partial_rotary_factor", static_cast<double>(rotated) / static_cast<double>(head_dim));
    else if (rotated != head_dim)
      bad_input("{} is {} of a head's {} elements; only whole heads are rotated from GGUF files",
                key("rope.dimension_count"), rotated, head_dim);
  }
  if (metadata.has(key("attention.layer_norm_rms_epsilon")))
    config.set("rms_norm_eps", metadata.real(key("attention.layer_norm_rms_epsilon")));
  if (metadata.has(key("attention.layer_norm_epsilon")))
    config.set("layer_norm_epsilon", metadata.real(key("attention.layer_norm_epsilon")));
  config.set("rope_theta", metadata.real(key("rope.freq_base"), 10000.0));
  config.set("tie_word_embeddings", !file.tensors().has("output.weight"));
  if (metadata.has(key("attention.sliding_window")))
    config.set("sliding_window", metadata.integer(key("attention.sliding_window")));

  if (const Json rope = rope_scaling_from_gguf(file, architecture); !rope.is_null())
    config.set("rope_scaling", rope);
  return config;
}

}  // namespace martlet::models

#include "train/model_shape.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include "base/error.h"
#include "base/human.h"

namespace martlet::train {
namespace {

struct NamedShape {
  std::string_view name;
  std::string_view sizes;
};

// Parameters without the embedding: about what the name says.
constexpr NamedShape kShapes[] = {
    {"1m", "hidden=128,layers=5,heads=4,tied=true"},
    {"3m", "hidden=192,layers=6,heads=6,tied=true"},
    {"7m", "hidden=288,layers=6,heads=6,tied=true"},
    {"25m", "hidden=512,layers=8,heads=8,tied=true"},
    {"124m", "hidden=768,layers=12,heads=12"},
    {"350m", "hidden=1024,layers=24,heads=16"},
    {"1b", "hidden=2048,layers=22,heads=32,kv_heads=4,intermediate=5632,context=2048"},
};

constexpr std::string_view kKeys[] = {"hidden",       "layers",  "heads", "kv_heads",
                                      "intermediate", "context", "tied"};

Json sizes_of(std::string_view shape) {
  for (const NamedShape& known : kShapes)
    if (known.name == shape) return sizes_of(known.sizes);
  Json sizes{Json::Object{}};
  for (size_t begin = 0; begin <= shape.size();) {
    const size_t end = std::min(shape.find(',', begin), shape.size());
    const std::string_view part = shape.substr(begin, end - begin);
    const size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    if (equals == std::string_view::npos ||
        std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys))
      bad_input(
          "'{}' is no model shape: name one of {}, or give sizes like hidden=288,layers=6,heads=6 (keys: {})",
          part, fmt::join(model_shape_names(), ", "), fmt::join(kKeys, ", "));
    const std::string value(part.substr(equals + 1));
    if (key == "tied") {
      if (value != "true" && value != "false")
        bad_input("model shape: tied is true or false, got '{}'", value);
      sizes.set(key, value == "true");
    } else {
      const std::optional<int64_t> number = parse_count(value);
      if (!number || *number < 1 || *number > 1'000'000)
        bad_input("model shape: {} takes a number from 1 to 1000000, got '{}'", key, value);
      sizes.set(key, *number);
    }
    begin = end + 1;
  }
  return sizes;
}

int64_t size_or(const Json& sizes, std::string_view key, int64_t fallback) {
  const Json* value = sizes.find(key);
  return value == nullptr ? fallback : value->integer();
}

}  // namespace

std::vector<std::string> model_shape_names() {
  std::vector<std::string> names;
  for (const NamedShape& known : kShapes) names.emplace_back(known.name);
  return names;
}

Json model_config(std::string_view shape, int64_t vocabulary_size, int64_t seq) {
  constexpr int64_t kHeadDim = 64;
  constexpr int64_t kIntermediateMultiple = 32;
  const Json sizes = sizes_of(shape);
  if (sizes.find("hidden") == nullptr || sizes.find("layers") == nullptr)
    bad_input("model shape '{}' needs hidden and layers", shape);
  const int64_t hidden = sizes.at("hidden").integer();
  const int64_t heads = size_or(sizes, "heads", std::max<int64_t>(1, hidden / kHeadDim));
  // Two thirds of the usual four times, since the gate is a third matrix (Shazeer, 2020).
  const int64_t inner =
      (8 * hidden / 3 + kIntermediateMultiple - 1) / kIntermediateMultiple * kIntermediateMultiple;
  const int64_t context = size_or(sizes, "context", std::max<int64_t>(1024, seq));
  if (seq > context) bad_input("--seq {} is longer than the model's context of {}", seq, context);
  const Json* tied = sizes.find("tied");
  Json config;
  config.set("architectures", Json(Json::Array{Json("LlamaForCausalLM")})).set("model_type", "llama");
  config.set("vocab_size", vocabulary_size).set("hidden_size", hidden);
  config.set("num_hidden_layers", sizes.at("layers").integer()).set("num_attention_heads", heads);
  config.set("num_key_value_heads", size_or(sizes, "kv_heads", heads));
  config.set("intermediate_size", size_or(sizes, "intermediate", inner));
  config.set("max_position_embeddings", context).set("rms_norm_eps", 1e-5).set("rope_theta", 10000.0);
  config.set("hidden_act", "silu").set("attention_bias", false).set("mlp_bias", false);
  config.set("tie_word_embeddings", tied != nullptr && tied->boolean()).set("dtype", "float32");
  return config;
}

}  // namespace martlet::train

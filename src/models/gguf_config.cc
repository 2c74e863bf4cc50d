#include "models/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace martlet::models {
namespace {

using Kind = ops::RopeScaling::Kind;

std::string joined(std::string_view architecture, std::string_view name) {
  return fmt::format("{}.{}", architecture, name);
}

[[noreturn]] void cannot_say(const Fields& config, std::string_view architecture, std::string_view what) {
  bad_input("{}: {}, which GGUF files of the architecture {} cannot say", config.source(), what,
            architecture);
}

Tensor vector_of(const std::vector<double>& values) {
  std::vector<float> rounded(values.begin(), values.end());
  return Tensor::from(rounded, {static_cast<int64_t>(rounded.size())});
}

/// What the frequency of every pair is divided by (the Llama 3.1 report): long wavelengths by the factor,
/// short ones by 1, those between by a blend.
std::vector<double> llama3_divisors(const ops::RopeScaling& rope) {
  const auto length =
      static_cast<double>(rope.original_positions > 0 ? rope.original_positions : rope.max_positions);
  std::vector<double> divisors;
  for (int64_t pair = 0; pair < rope.dimensions / 2; ++pair) {
    const double turn =
        std::pow(rope.base, 2.0 * static_cast<double>(pair) / static_cast<double>(rope.dimensions));
    const double ratio = length / (turn * 2 * std::numbers::pi);
    const double blend =
        (ratio - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
    divisors.push_back(ratio < rope.low_frequency_factor    ? rope.factor
                       : ratio > rope.high_frequency_factor ? 1.0
                                                            : 1.0 / ((1.0 - blend) / rope.factor + blend));
  }
  return divisors;
}

void add_yarn(const Fields& config, std::string_view architecture, const ops::RopeScaling& rope) {
  const ops::RopeScaling plain;
  if (rope.mscale || rope.mscale_all_dimensions || rope.attention_factor)
    cannot_say(config, architecture, "yarn has an mscale or attention_factor of its own");
  if (rope.beta_fast != plain.beta_fast || rope.beta_slow != plain.beta_slow || !rope.truncate)
    cannot_say(config, architecture, "yarn has beta_fast, beta_slow or truncate of its own");
}

void add_rope(const Fields& config, std::string_view architecture, const ops::RopeScaling& rope,
              int64_t head_dim, bool part_rotates, GgufConfig& to) {
  if (rope.dimensions != head_dim && !part_rotates)
    cannot_say(config, architecture,
               fmt::format("only {} of a head's {} elements rotate", rope.dimensions, head_dim));
  const auto key = [&](std::string_view name) { return joined(architecture, name); };
  to.pairs.integer(key("rope.dimension_count"), rope.dimensions).real(key("rope.freq_base"), rope.base);
  const int64_t original = rope.original_positions > 0 ? rope.original_positions : rope.max_positions;
  const double factor =
      rope.factor > 0 ? rope.factor : static_cast<double>(rope.max_positions) / static_cast<double>(original);
  const auto scaling = [&](std::string_view type) {
    to.pairs.text(key("rope.scaling.type"), type).real(key("rope.scaling.factor"), factor);
  };
  switch (rope.kind) {
    case Kind::kDefault:
      return;
    case Kind::kLinear:
      return scaling("linear");
    case Kind::kDynamic:
      cannot_say(config, architecture, "rope_type is dynamic");
    case Kind::kYarn:
      add_yarn(config, architecture, rope);
      scaling("yarn");
      to.pairs.integer(key("rope.scaling.original_context_length"), original);
      return;
    case Kind::kLongrope: {
      // Equal factors for short and long, and nothing done to the attention, is what divisors alone say.
      if (rope.short_factor == rope.long_factor && rope.attention_factor == 1.0) {
        to.tensors.emplace_back("rope_freqs.weight", vector_of(rope.short_factor));
        return;
      }
      const double derived =
          factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original)));
      // No factor: readers would divide the frequencies by it besides.
      to.pairs.text(key("rope.scaling.type"), "longrope");
      to.pairs.integer(key("rope.scaling.original_context_length"), original);
      to.pairs.real(key("rope.scaling.attn_factor"), rope.attention_factor.value_or(derived));
      to.tensors.emplace_back("rope_factors_long.weight", vector_of(rope.long_factor));
      to.tensors.emplace_back("rope_factors_short.weight", vector_of(rope.short_factor));
      return;
    }
    case Kind::kLlama3:
      to.tensors.emplace_back("rope_freqs.weight", vector_of(llama3_divisors(rope)));
      return;
  }
}

}  // namespace

void decoder_config_to_gguf(const Fields& config, std::string_view architecture, GgufConfig& to,
                            std::string_view rope_type, bool part_rotates) {
  const DecoderSizes sizes = decoder_sizes(config);
  const int64_t head_dim = sizes.attention.head_dim;
  const auto key = [&](std::string_view name) { return joined(architecture, name); };
  to.pairs.integer(key("block_count"), sizes.model.layers)
      .integer(key("embedding_length"), sizes.model.hidden_size)
      .integer(key("feed_forward_length"), sizes.intermediate_size)
      .integer(key("attention.head_count"), sizes.attention.heads)
      .integer(key("attention.head_count_kv"), sizes.attention.key_value_heads)
      .integer(key("attention.key_length"), head_dim)
      .integer(key("attention.value_length"), head_dim)
      .integer(key("vocab_size"), sizes.model.vocabulary_size)
      .real(key("attention.layer_norm_rms_epsilon"), norm_epsilon(config, "rms_norm_eps", 1e-6));
  const auto rope = rope_scaling(config, head_dim, sizes.model.max_positions, rope_type);
  add_rope(config, architecture, *rope, head_dim, part_rotates, to);
}

int64_t context_within(int64_t max_positions, std::span<const int64_t> windows) {
  for (const int64_t window : windows)
    if (window > 0) max_positions = std::min(max_positions, window);
  return max_positions;
}

void require_text(const Fields& config, std::string_view architecture, std::string_view key,
                  std::string_view fallback, std::span<const std::string_view> expected) {
  const std::string value = config.text(key, fallback);
  if (std::find(expected.begin(), expected.end(), value) == expected.end())
    cannot_say(config, architecture, fmt::format("{} is \"{}\"", key, value));
}

void require_flag(const Fields& config, std::string_view architecture, std::string_view key, bool fallback,
                  bool expected) {
  if (config.boolean(key, fallback) != expected)
    cannot_say(config, architecture, fmt::format("{} is {}", key, !expected));
}

}  // namespace martlet::models

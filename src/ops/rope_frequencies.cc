// Frequencies of rotary positions for every scaling that Hugging Face configurations name.
//
// Logits are compared with transformers to 2e-5, so every step is taken in the precision it has there: tensor
// arithmetic in f32, scalar arithmetic in double and rounded where it meets a tensor. A number divided by a
// tensor is the tensor's reciprocal times the number there, two roundings, and so it is here.
//
// Sources: Chen et al., "Extending Context Window via Positional Interpolation", 2023 (linear); bloc97's
// NTK-aware scaling (dynamic); Peng et al., "YaRN", 2023; Ding et al., "LongRoPE", 2024; the Llama 3.1
// report.

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ops/rope.h"

namespace martlet::ops {
namespace {

using Kind = RopeScaling::Kind;

/// base^(2i / dimensions) for each pair i, in f32. The power itself is taken in double and rounded once: the
/// nearest to every good f32 power.
std::vector<float> wavelength_powers(float base, int64_t dimensions) {
  std::vector<float> powers(static_cast<size_t>(dimensions / 2));
  for (size_t i = 0; i < powers.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dimensions);
    powers[i] = static_cast<float>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  return powers;
}

int64_t original_positions(const RopeScaling& scaling) {
  return scaling.original_positions > 0 ? scaling.original_positions : scaling.max_positions;
}

double factor_or_ratio(const RopeScaling& scaling) {
  if (scaling.factor > 0) return scaling.factor;
  return static_cast<double>(scaling.max_positions) / static_cast<double>(original_positions(scaling));
}

/// The base grows with the sequence once it is longer than the model was trained for.
float dynamic_base(const RopeScaling& scaling, int64_t sequence_length) {
  const double exponent =
      static_cast<double>(scaling.dimensions) / static_cast<double>(scaling.dimensions - 2);
  const double factor = scaling.factor;
  if (sequence_length <= scaling.max_positions) {
    const double length = static_cast<double>(scaling.max_positions);
    return static_cast<float>(scaling.base * std::pow(factor * length / length - (factor - 1), exponent));
  }
  // The length is a tensor there, hence f32 from here on; the exponent stays a double.
  const float grown = static_cast<float>(sequence_length) * static_cast<float>(factor) /
                          static_cast<float>(scaling.max_positions) -
                      static_cast<float>(factor - 1);
  const float power = static_cast<float>(std::pow(static_cast<double>(grown), exponent));
  return power * static_cast<float>(scaling.base);
}

/// The pair, as a fraction of the dimensions, that turns `rotations` times over the original context.
double correction_dimension(const RopeScaling& scaling, double rotations) {
  const double length = static_cast<double>(original_positions(scaling));
  return static_cast<double>(scaling.dimensions) * std::log(length / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(scaling.base));
}

/// Fast pairs keep their frequency, slow ones are interpolated, between them a linear ramp.
std::vector<float> yarn_inverse(const RopeScaling& scaling, const std::vector<float>& powers) {
  double low = correction_dimension(scaling, scaling.beta_fast);
  double high = correction_dimension(scaling, scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(scaling.dimensions - 1));
  if (low == high) high += 0.001;

  const float factor = static_cast<float>(factor_or_ratio(scaling));
  std::vector<float> inverse(powers.size());
  for (size_t i = 0; i < powers.size(); ++i) {
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
    const float kept = 1.0f - ramp;
    inverse[i] = 1.0f / (factor * powers[i]) * (1.0f - kept) + 1.0f / powers[i] * kept;
  }
  return inverse;
}

double yarn_attention_factor(const RopeScaling& scaling) {
  const double factor = factor_or_ratio(scaling);
  const auto of_scale = [factor](double mscale) {
    return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
  };
  const double mscale = scaling.mscale.value_or(0);
  const double mscale_all = scaling.mscale_all_dimensions.value_or(0);
  return mscale != 0 && mscale_all != 0 ? of_scale(mscale) / of_scale(mscale_all) : of_scale(1);
}

std::vector<float> longrope_inverse(const RopeScaling& scaling, const std::vector<float>& powers,
                                    int64_t sequence_length) {
  const std::vector<double>& factors =
      sequence_length > original_positions(scaling) ? scaling.long_factor : scaling.short_factor;
  std::vector<float> inverse(powers.size());
  for (size_t i = 0; i < powers.size(); ++i) inverse[i] = 1.0f / (static_cast<float>(factors[i]) * powers[i]);
  return inverse;
}

double longrope_attention_factor(const RopeScaling& scaling) {
  const double factor = factor_or_ratio(scaling);
  if (factor <= 1) return 1;
  return std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original_positions(scaling))));
}

/// Long wavelengths are divided by the factor, short ones kept, those between blended.
float llama3_inverse(const RopeScaling& scaling, float inverse) {
  const double length = static_cast<double>(original_positions(scaling));
  const double low = scaling.low_frequency_factor;
  const double high = scaling.high_frequency_factor;
  const float factor = static_cast<float>(scaling.factor);
  const float wavelength = 1.0f / inverse * static_cast<float>(2 * std::numbers::pi);
  if (wavelength > static_cast<float>(length / low)) return inverse / factor;
  if (wavelength < static_cast<float>(length / high)) return inverse;
  const float smooth = (1.0f / wavelength * static_cast<float>(length) - static_cast<float>(low)) /
                       static_cast<float>(high - low);
  return (1.0f - smooth) * inverse / factor + smooth * inverse;
}

void check_longrope(const RopeScaling& scaling) {
  const size_t pairs = static_cast<size_t>(scaling.dimensions / 2);
  for (const auto& [name, factors] :
       {std::pair("short_factor", &scaling.short_factor), std::pair("long_factor", &scaling.long_factor)}) {
    if (factors->size() != pairs)
      bad_input("longrope's {} has {} entries; {} rotated dimensions take {}", name, factors->size(),
                scaling.dimensions, pairs);
    for (const double factor : *factors)
      if (!(factor > 0 && std::isfinite(factor)))
        bad_input("longrope's {} holds {}; every factor must be above 0", name, factor);
  }
}

void check(const RopeScaling& scaling) {
  if (scaling.dimensions < 2 || scaling.dimensions % 2 != 0)
    bad_input("rotary positions need an even number of dimensions, got {}", scaling.dimensions);
  if (!(scaling.base > 0 && std::isfinite(static_cast<float>(scaling.base))))
    bad_input("rope_theta must be above 0 and fit an f32, got {}", scaling.base);
  const bool ratio_serves = scaling.kind == Kind::kYarn || scaling.kind == Kind::kLongrope;
  const bool needs_factor = scaling.kind != Kind::kDefault && !(ratio_serves && scaling.factor == 0);
  if (needs_factor && !(scaling.factor > 0 && std::isfinite(scaling.factor)))
    bad_input("the rope scaling's factor must be above 0, got {}", scaling.factor);
  if (scaling.kind == Kind::kDefault || scaling.kind == Kind::kLinear) return;
  if (original_positions(scaling) <= 0 || scaling.max_positions < 0)
    bad_input("the rope scaling needs max_position_embeddings or original_max_position_embeddings above 0");
  if (scaling.kind == Kind::kDynamic && (scaling.dimensions < 4 || scaling.max_positions == 0))
    bad_input("dynamic rope scaling needs 4 dimensions or more and max_position_embeddings, got {} and {}",
              scaling.dimensions, scaling.max_positions);
  if (ratio_serves && scaling.factor == 0 && scaling.max_positions == 0)
    bad_input("the rope scaling needs a factor or max_position_embeddings");
  if (scaling.kind == Kind::kYarn && !(scaling.base > 1 && scaling.beta_fast > 0 && scaling.beta_slow > 0))
    bad_input("yarn needs rope_theta above 1 and beta_fast and beta_slow above 0, got {}, {} and {}",
              scaling.base, scaling.beta_fast, scaling.beta_slow);
  if (scaling.kind == Kind::kLlama3 &&
      !(scaling.low_frequency_factor > 0 && scaling.high_frequency_factor > scaling.low_frequency_factor))
    bad_input("llama3 rope scaling needs 0 < low_freq_factor < high_freq_factor, got {} and {}",
              scaling.low_frequency_factor, scaling.high_frequency_factor);
  if (scaling.kind == Kind::kLongrope) check_longrope(scaling);
}

}  // namespace

RopeFrequencies rope_frequencies(const RopeScaling& scaling, int64_t sequence_length) {
  check(scaling);
  const bool dynamic = scaling.kind == Kind::kDynamic;
  const float base = dynamic ? dynamic_base(scaling, sequence_length) : static_cast<float>(scaling.base);
  const std::vector<float> powers = wavelength_powers(base, scaling.dimensions);
  RopeFrequencies result;
  switch (scaling.kind) {
    case Kind::kYarn:
      result.inverse = yarn_inverse(scaling, powers);
      result.attention_scale =
          static_cast<float>(scaling.attention_factor.value_or(yarn_attention_factor(scaling)));
      return result;
    case Kind::kLongrope:
      result.inverse = longrope_inverse(scaling, powers, sequence_length);
      result.attention_scale =
          static_cast<float>(scaling.attention_factor.value_or(longrope_attention_factor(scaling)));
      return result;
    default:
      break;
  }
  result.inverse.reserve(powers.size());
  for (const float power : powers) {
    const float inverse = 1.0f / power;
    if (scaling.kind == Kind::kLinear) {
      result.inverse.push_back(inverse / static_cast<float>(scaling.factor));
    } else {
      result.inverse.push_back(scaling.kind == Kind::kLlama3 ? llama3_inverse(scaling, inverse) : inverse);
    }
  }
  return result;
}

}  // namespace martlet::ops

#pragma once

// Choosing the next token from scores. A draw depends on (seed, sequence, step) alone.

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace martlet::infer {

struct SamplingOptions {
  double temperature = 0;  ///< 0: the most probable token, the lowest id among equals
  int64_t top_k = 0;       ///< keep so many; 0: all
  double top_p = 1;        ///< keep the fewest whose probabilities reach this. Holtzman et al., 2020
  double min_p = 0;        ///< keep those at least this times the greatest. Nguyen et al., 2024
  double typical_p = 1;    ///< keep the most typical up to this. Meister et al., 2023
  double repetition_penalty =
      1;  ///< divides positive, multiplies negative scores of seen tokens. Keskar et al., 2019
  double frequency_penalty = 0;  ///< subtracted for each time a token was generated
  double presence_penalty = 0;   ///< subtracted once for a token that was generated
  uint64_t seed = 0;
};

/// Throws Usage for values out of range, naming the option.
void check(const SamplingOptions& options);

/// The next token. `scores`: [vocabulary], not changed. `prompt` and `generated`: the ids so far. `stream`
/// names the sequence, `generated.size()` is the step.
int32_t sample(std::span<const float> scores, const SamplingOptions& options, std::span<const int32_t> prompt,
               std::span<const int32_t> generated, uint64_t stream);

/// The scores of several positions at once. Where the greatest alone counts, it is found where they are: a
/// vocabulary of 262,144 copied and searched a number at a time takes a twentieth of a small model's token.
class Scores {
 public:
  /// `scores`: [positions, vocabulary] f32.
  Scores(const Tensor& scores, const SamplingOptions& options);
  /// As above, from the scores of position `row`.
  int32_t sample(int64_t row, std::span<const int32_t> prompt, std::span<const int32_t> generated,
                 uint64_t stream) const;

 private:
  const SamplingOptions& options_;
  size_t width_;
  std::vector<int64_t> greatest_;  // of each position, where they alone count
  std::vector<float> all_;         // else
};

}  // namespace martlet::infer

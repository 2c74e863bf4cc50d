#include "cli/sampling_options.h"

namespace martlet::cli {

void SamplingFlags::declare(Options& options) {
  options.count("-n,--tokens", "N", tokens, "new tokens at most", 0, int64_t{1} << 31)
      .real("--temp", "X", sampling.temperature, "0 takes the most probable token; above, chance grows", 0,
            100)
      .count("--top-k", "N", sampling.top_k, "choose among so many tokens; 0: all", 0, int64_t{1} << 31)
      .real("--top-p", "X", sampling.top_p, "choose among the fewest tokens that reach this probability", 0,
            1)
      .real("--min-p", "X", sampling.min_p, "drop tokens below this share of the best one's probability", 0,
            1)
      .real("--typical-p", "X", sampling.typical_p, "keep the most typical tokens up to this probability", 0,
            1)
      .real("--repetition-penalty", "X", sampling.repetition_penalty, "above 1: weaken tokens seen before",
            0.01, 100)
      .real("--frequency-penalty", "X", sampling.frequency_penalty, "taken off for each earlier use", -100,
            100)
      .real("--presence-penalty", "X", sampling.presence_penalty, "taken off once when used before", -100,
            100)
      .count("--seed", "N", seed, "chance depends on this number alone");
}

infer::GenerationOptions SamplingFlags::generation() const {
  infer::GenerationOptions options;
  options.max_new_tokens = tokens;
  options.sampling = sampling;
  options.sampling.seed = static_cast<uint64_t>(seed);
  return options;
}

}  // namespace martlet::cli

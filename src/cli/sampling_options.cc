#include "cli/sampling_options.h"

#include "base/error.h"
#include "base/human.h"

namespace martlet::cli {
namespace {

int32_t stop_id(const infer::LanguageModel& model, const std::string& token) {
  if (model.has_tokenizer())
    if (const std::optional<int32_t> id = model.tokenizer().id(token)) return *id;
  const int64_t vocabulary = model.tree().shape().vocabulary_size;
  const bool digits = !token.empty() && token.find_first_not_of("0123456789") == std::string::npos;
  const std::optional<int64_t> id = digits ? parse_count(token) : std::nullopt;
  if (!id || *id >= vocabulary)
    fail(ErrorCode::kUsage, "--stop-token wants a token of the vocabulary or an id below {}, got '{}'",
         vocabulary, token);
  return static_cast<int32_t>(*id);
}

}  // namespace

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
      .count("--seed", "N", seed, "chance depends on this number alone")
      .texts("--stop", "TEXT", stop_texts, "end a reply before this text; may be given several times")
      .texts("--stop-token", "TOKEN", stop_tokens,
             "end a reply before this token, a word of the vocabulary or an id")
      .flag("--ignore-eos", ignore_eos, "go on past the model's own end tokens");
}

infer::GenerationOptions SamplingFlags::generation(const infer::LanguageModel& model) const {
  infer::GenerationOptions options;
  options.max_new_tokens = tokens;
  options.sampling = sampling;
  options.sampling.seed = static_cast<uint64_t>(seed);
  if (!ignore_eos) options.stop_ids = model.stop_ids();
  for (const std::string& token : stop_tokens) options.stop_ids.push_back(stop_id(model, token));
  return options;
}

}  // namespace martlet::cli

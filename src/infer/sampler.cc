#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/random.h"
#include "ops/argmax.h"

namespace martlet::infer {
namespace {

struct Candidate {
  int32_t id;
  double score;  // logit, then probability
};

int32_t greatest(std::span<const float> scores) {
  return static_cast<int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

bool penalises(const SamplingOptions& options) {
  return options.repetition_penalty != 1 || options.frequency_penalty != 0 || options.presence_penalty != 0;
}

void penalise(std::vector<float>& scores, const SamplingOptions& options, std::span<const int32_t> prompt,
              std::span<const int32_t> generated) {
  const auto known = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < scores.size(); };
  if (options.repetition_penalty != 1) {
    std::unordered_set<int32_t> seen(prompt.begin(), prompt.end());
    seen.insert(generated.begin(), generated.end());
    const auto penalty = static_cast<float>(options.repetition_penalty);
    for (const int32_t id : seen) {
      if (!known(id)) continue;
      float& score = scores[static_cast<size_t>(id)];
      score = score > 0 ? score / penalty : score * penalty;
    }
  }
  if (options.frequency_penalty == 0 && options.presence_penalty == 0) return;
  std::unordered_map<int32_t, int64_t> counts;
  for (const int32_t id : generated) ++counts[id];
  for (const auto& [id, count] : counts)
    if (known(id))
      scores[static_cast<size_t>(id)] -= static_cast<float>(
          options.frequency_penalty * static_cast<double>(count) + options.presence_penalty);
}

bool more_probable(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

/// Scores to probabilities that sum to 1.
void normalise(std::vector<Candidate>& candidates, double temperature) {
  const double top = candidates.front().score;
  double sum = 0;
  for (Candidate& candidate : candidates)
    sum += candidate.score = std::exp((candidate.score - top) / temperature);
  for (Candidate& candidate : candidates) candidate.score /= sum;
}

/// Keeps the first candidates until their probabilities reach `share`, at least one.
void keep_share(std::vector<Candidate>& candidates, double share) {
  double sum = 0;
  size_t kept = 0;
  while (kept < candidates.size() && (kept == 0 || sum < share)) sum += candidates[kept++].score;
  candidates.resize(kept);
}

void keep_typical(std::vector<Candidate>& candidates, double share) {
  double entropy = 0;
  for (const Candidate& candidate : candidates)
    if (candidate.score > 0) entropy -= candidate.score * std::log(candidate.score);
  const auto surprise = [&](const Candidate& candidate) {
    return std::abs(-std::log(candidate.score) - entropy);
  };
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const Candidate& a, const Candidate& b) { return surprise(a) < surprise(b); });
  keep_share(candidates, share);
  std::sort(candidates.begin(), candidates.end(), more_probable);
}

int32_t draw(const std::vector<Candidate>& candidates, double uniform) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.score;
  double left = uniform * sum;
  for (const Candidate& candidate : candidates) {
    left -= candidate.score;
    if (left < 0) return candidate.id;
  }
  return candidates.back().id;
}

}  // namespace

void check(const SamplingOptions& options) {
  const auto require = [](bool holds, std::string_view name, std::string_view range, double got) {
    if (!holds) fail(ErrorCode::kUsage, "{} must be {}, got {:g}", name, range, got);
  };
  require(options.temperature >= 0, "temperature", "0 or more", options.temperature);
  require(options.top_k >= 0, "top-k", "0 or more", static_cast<double>(options.top_k));
  require(options.top_p > 0 && options.top_p <= 1, "top-p", "above 0 and at most 1", options.top_p);
  require(options.min_p >= 0 && options.min_p < 1, "min-p", "0 or more and below 1", options.min_p);
  require(options.typical_p > 0 && options.typical_p <= 1, "typical-p", "above 0 and at most 1",
          options.typical_p);
  require(options.repetition_penalty > 0, "repetition penalty", "above 0", options.repetition_penalty);
}

int32_t sample(std::span<const float> scores, const SamplingOptions& options, std::span<const int32_t> prompt,
               std::span<const int32_t> generated, uint64_t stream) {
  if (scores.empty()) failed("there are no scores to choose a token from");
  std::vector<float> changed;
  if (penalises(options)) {
    changed.assign(scores.begin(), scores.end());
    penalise(changed, options, prompt, generated);
    scores = changed;
  }
  if (options.temperature == 0) return greatest(scores);

  std::vector<Candidate> candidates(scores.size());
  for (size_t i = 0; i < scores.size(); ++i)
    candidates[i] = {static_cast<int32_t>(i), static_cast<double>(scores[i])};
  const auto wanted = static_cast<size_t>(options.top_k);
  if (wanted > 0 && wanted < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<int64_t>(wanted), candidates.end(),
                     more_probable);
    candidates.resize(wanted);
  }
  std::sort(candidates.begin(), candidates.end(), more_probable);
  normalise(candidates, options.temperature);
  if (options.typical_p < 1) keep_typical(candidates, options.typical_p);
  if (options.top_p < 1) keep_share(candidates, options.top_p);
  if (options.min_p > 0) {
    const double least = options.min_p * candidates.front().score;
    std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.score < least; });
  }
  return draw(candidates, Philox(options.seed, stream).uniform(generated.size()));
}

Scores::Scores(const Tensor& scores, const SamplingOptions& options)
    : options_(options), width_(static_cast<size_t>(scores.dim(1))) {
  if (options.temperature == 0 && !penalises(options))
    greatest_ = ops::argmax(scores).to_vector<int64_t>();
  else
    all_ = scores.to_vector<float>();
}

int32_t Scores::sample(int64_t row, std::span<const int32_t> prompt, std::span<const int32_t> generated,
                       uint64_t stream) const {
  const auto index = static_cast<size_t>(row);
  if (!greatest_.empty()) return static_cast<int32_t>(greatest_[index]);
  return infer::sample(std::span(all_).subspan(index * width_, width_), options_, prompt, generated, stream);
}

}  // namespace martlet::infer

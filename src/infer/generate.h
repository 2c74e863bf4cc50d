#pragma once

// Generation: prompts of different lengths in one forward, then one token a sequence and step, until all have
// stopped.

#include <functional>
#include <string>
#include <vector>

#include "infer/sampler.h"
#include "nn/roles.h"

namespace martlet::infer {

struct GenerationOptions {
  int64_t max_new_tokens = 256;
  SamplingOptions sampling = {};
  std::vector<int32_t> stop_ids = {};  ///< generation ends before one of these; empty: never by a token
  int64_t batch = 16;                  ///< sequences that run together
};

enum class Finish { kStop, kLength, kStopped };
std::string_view name_of(Finish finish);

struct Generated {
  std::vector<int32_t> ids;  ///< new tokens, without the one that stopped it
  Finish finish = Finish::kLength;
};

/// Called for every new token, in order; returning false ends that sequence (Finish::kStopped).
using OnToken = std::function<bool(size_t sequence, int32_t id)>;

/// One result a prompt, in order. The tokens of a prompt do not depend on the others, on `batch` or on
/// threads. Throws BadInput for an empty prompt, an id outside the vocabulary, or a prompt longer than the
/// context (with both numbers); kInterrupted when a stop was requested.
std::vector<Generated> generate(nn::Model& model, std::span<const std::vector<int32_t>> prompts,
                                const GenerationOptions& options, const OnToken& on_token = {});

/// Next-token scores at every position of `ids`: [ids, vocabulary] f32.
Tensor all_logits(nn::Model& model, std::span<const int32_t> ids);

/// Throws BadInput for an id outside the vocabulary or more ids than positions.
void check_ids(const nn::ModelShape& shape, std::span<const int32_t> ids);

}  // namespace martlet::infer

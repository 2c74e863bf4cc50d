#pragma once

// Generation: prompts of different lengths in one forward, then one token a sequence and step, until all have
// stopped.

#include <functional>
#include <string>
#include <vector>

#include "infer/kv_cache.h"
#include "infer/prompt_cache.h"
#include "infer/sampler.h"
#include "infer/speculation.h"
#include "nn/roles.h"

namespace martlet::infer {

/// What happens at the end of the context.
enum class ContextPolicy : uint8_t {
  kStop,  ///< a longer prompt is an error, and a reply ends where the context is full
  /// Whenever the context is full, the older half of it is forgotten and what is left is read anew. The first
  /// token stays: attention leans on it. Xiao et al., "Efficient Streaming Language Models with Attention
  /// Sinks", 2023
  kSlide,
};

struct GenerationOptions {
  int64_t max_new_tokens = 256;
  SamplingOptions sampling = {};
  std::vector<int32_t> stop_ids = {};  ///< generation ends before one of these; empty: never by a token
  int64_t batch = 16;                  ///< sequences that run together
  /// The number of the first prompt, where it is not 0: chance depends on a prompt's number.
  size_t first_sequence = 0;
  ContextPolicy context = ContextPolicy::kStop;
  /// Makes what guesses the tokens of one sequence; none: nothing is guessed.
  std::function<std::unique_ptr<Drafter>()> drafter = {};
  int64_t draft_tokens = 16;  ///< guesses at once, at most
  /// Where what is read of prompts comes from and goes to; null: nothing is kept. Not used where rotary
  /// frequencies depend on the length.
  const PromptCache* prompt_cache = nullptr;
};

enum class Finish {
  kStop,    ///< by a stop token or a stop text
  kLength,  ///< as many tokens as were asked for, or the context is full
  kStopped  ///< the listener wanted no more
};
/// "stop", "length", "stopped".
std::string_view name_of(Finish finish);

struct Generated {
  std::vector<int32_t> ids;  ///< new tokens, without the one that stopped it
  Finish finish = Finish::kLength;
  int64_t drafted = 0;   ///< guesses that were read
  int64_t accepted = 0;  ///< of these, those that were right
};

/// Called for every new token, in order; returning false ends that sequence (Finish::kStopped). `sequence`
/// counts the prompts of the call from 0.
using OnToken = std::function<bool(size_t sequence, int32_t id)>;

/// One result a prompt, in order. The tokens of a prompt do not depend on the others, on `batch` or on
/// threads. What prompts that run together begin with in common is read once (unless rotary frequencies
/// depend on the length). Throws BadInput for an empty prompt, an id outside the vocabulary, or a prompt
/// longer than the context (with both numbers); kInterrupted when a stop was requested.
std::vector<Generated> generate(nn::Model& model, std::span<const std::vector<int32_t>> prompts,
                                const GenerationOptions& options, const OnToken& on_token = {});

/// How many of a sequence's `length` ids are forgotten under kSlide, counted from the second one; 0 while all
/// fit. `limit`: the model's positions, 0 without a limit.
int64_t forgotten_ids(int64_t length, int64_t limit);

/// What a model has read of one text, for the next call that begins with the same ids.
struct ReadContext {
  explicit ReadContext(int64_t layers, int64_t lead = 0) : cache(layers, lead) {}
  GrowingKvCache cache;
  std::vector<int32_t> ids;  ///< one a position of the cache
};

/// How many ids of a prompt `generate_on` will not read again.
int64_t reusable_ids(const nn::Model& model, const ReadContext& context, std::span<const int32_t> prompt);

/// As `generate` for one prompt; the ids that `context` holds already at its beginning are not read again,
/// with the same reply (exact unless the model's rotary frequencies depend on the length). Afterwards
/// `context` holds what was read, whatever was thrown.
Generated generate_on(nn::Model& model, ReadContext& context, const std::vector<int32_t>& prompt,
                      const GenerationOptions& options, const OnToken& on_token = {});

/// Next-token scores at every position of `ids`: [ids, vocabulary] f32.
Tensor all_logits(nn::Model& model, std::span<const int32_t> ids);

/// Throws BadInput for an id outside the vocabulary.
void check_vocabulary(const nn::ModelShape& shape, std::span<const int32_t> ids);
/// Throws BadInput for an id outside the vocabulary or more ids than positions.
void check_ids(const nn::ModelShape& shape, std::span<const int32_t> ids);

}  // namespace martlet::infer

#include "infer/generate.h"

#include <algorithm>

#include "base/error.h"
#include "base/interrupt.h"
#include "infer/kv_cache.h"

namespace martlet::infer {
namespace {

// Positions that one forward takes at most while prompts are read: bounds the memory of activations.
constexpr int64_t kPrefillTokens = 512;

struct Sequence {
  size_t number;
  const std::vector<int32_t>* prompt;
  GrowingKvCache cache;
  Generated result;
  bool done = false;
};

/// The last row of each sequence of a batch: [sequences, hidden].
Tensor last_rows(const Tensor& hidden, const nn::Batch& batch) {
  const Tensor rows = Tensor::empty({batch.sequence_count(), hidden.dim(1)}, hidden.dtype(), hidden.device());
  for (int64_t i = 0; i < batch.sequence_count(); ++i)
    rows.slice(0, i, i + 1).copy_elements(hidden.slice(0, batch.end(i) - 1, batch.end(i)));
  return rows;
}

class Generation {
 public:
  Generation(nn::Model& model, const GenerationOptions& options, const OnToken& on_token)
      : model_(model), options_(options), on_token_(on_token) {}

  void run(std::vector<Sequence>& sequences) {
    prefill(sequences);
    std::vector<Sequence*> running;
    while (true) {
      running.clear();
      for (Sequence& sequence : sequences)
        if (!sequence.done) running.push_back(&sequence);
      if (running.empty()) return;
      throw_if_interrupted();
      nn::Batch batch;
      for (Sequence* sequence : running)
        batch.add(std::span(&sequence->result.ids.back(), 1), &sequence->cache);
      choose(running, batch, model_.hidden(batch));
    }
  }

 private:
  /// Reads the prompts, as many together as fit, long ones in pieces.
  void prefill(std::vector<Sequence>& sequences) {
    std::vector<int64_t> read(sequences.size(), 0);
    for (size_t first = 0; first < sequences.size();) {
      throw_if_interrupted();
      nn::Batch batch;
      std::vector<Sequence*> finished;
      size_t next = first;
      while (next < sequences.size() && batch.token_count() < kPrefillTokens) {
        const std::vector<int32_t>& prompt = *sequences[next].prompt;
        const int64_t left = static_cast<int64_t>(prompt.size()) - read[next];
        const int64_t now = std::min(left, kPrefillTokens - batch.token_count());
        batch.add(std::span(prompt).subspan(static_cast<size_t>(read[next]), static_cast<size_t>(now)),
                  &sequences[next].cache);
        read[next] += now;
        finished.push_back(now == left ? &sequences[next] : nullptr);
        if (now < left) break;
        ++next;
      }
      choose(finished, batch, model_.hidden(batch));
      first = next;
    }
  }

  /// Picks the next token of every sequence of the batch that has one to pick.
  void choose(std::span<Sequence* const> sequences, const nn::Batch& batch, const Tensor& hidden) {
    const Tensor scores = model_.logits(last_rows(hidden, batch));
    const std::vector<float> all = scores.to_vector<float>();
    const auto width = static_cast<size_t>(scores.dim(1));
    for (size_t i = 0; i < sequences.size(); ++i)
      if (sequences[i] != nullptr) take(*sequences[i], std::span(all).subspan(i * width, width));
  }

  void take(Sequence& sequence, std::span<const float> scores) {
    std::vector<int32_t>& ids = sequence.result.ids;
    if (static_cast<int64_t>(ids.size()) >= options_.max_new_tokens) {
      sequence.done = true;
      return;
    }
    const int32_t id = sample(scores, options_.sampling, *sequence.prompt, ids, sequence.number);
    if (std::find(options_.stop_ids.begin(), options_.stop_ids.end(), id) != options_.stop_ids.end()) {
      sequence.result.finish = Finish::kStop;
      sequence.done = true;
      return;
    }
    ids.push_back(id);
    const auto length = static_cast<int64_t>(sequence.prompt->size() + ids.size());
    const int64_t limit = model_.shape().max_positions;
    if (on_token_ && !on_token_(sequence.number, id)) {
      sequence.result.finish = Finish::kStopped;
      sequence.done = true;
    } else if (static_cast<int64_t>(ids.size()) >= options_.max_new_tokens || (limit > 0 && length > limit)) {
      sequence.done = true;
    }
  }

  nn::Model& model_;
  const GenerationOptions& options_;
  const OnToken& on_token_;
};

}  // namespace

std::string_view name_of(Finish finish) {
  constexpr std::string_view kNames[] = {"stop", "length", "stopped"};
  return kNames[static_cast<size_t>(finish)];
}

void check_ids(const nn::ModelShape& shape, std::span<const int32_t> ids) {
  for (const int32_t id : ids)
    if (id < 0 || id >= shape.vocabulary_size)
      bad_input("token id {} is outside the vocabulary of {}", id, shape.vocabulary_size);
  if (shape.max_positions > 0 && static_cast<int64_t>(ids.size()) > shape.max_positions)
    bad_input("the prompt has {} tokens and the model's context {}; shorten the prompt", ids.size(),
              shape.max_positions);
}

std::vector<Generated> generate(nn::Model& model, std::span<const std::vector<int32_t>> prompts,
                                const GenerationOptions& options, const OnToken& on_token) {
  check(options.sampling);
  if (!model.shape().generates) bad_input("this model has no head that predicts tokens: it cannot generate");
  for (const std::vector<int32_t>& prompt : prompts) {
    if (prompt.empty()) bad_input("a prompt without tokens has nothing to continue");
    check_ids(model.shape(), prompt);
  }
  std::vector<Generated> results(prompts.size());
  const auto width = static_cast<size_t>(std::max<int64_t>(options.batch, 1));
  for (size_t first = 0; first < prompts.size(); first += width) {
    std::vector<Sequence> sequences;
    for (size_t i = first; i < std::min(first + width, prompts.size()); ++i)
      sequences.push_back({i, &prompts[i], GrowingKvCache(model.shape().layers), {}, false});
    Generation(model, options, on_token).run(sequences);
    for (Sequence& sequence : sequences) results[sequence.number] = std::move(sequence.result);
  }
  return results;
}

Tensor all_logits(nn::Model& model, std::span<const int32_t> ids) {
  if (ids.empty()) bad_input("there are no token ids to compute logits for");
  check_ids(model.shape(), ids);
  nn::Batch batch;
  batch.add(ids);
  return model.logits(model.hidden(batch));
}

}  // namespace martlet::infer

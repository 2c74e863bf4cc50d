#include "infer/generate.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/interrupt.h"
#include "nn/layers.h"

namespace martlet::infer {
namespace {

// Common first tokens of two prompts that are worth a copy of what was read of them.
constexpr int64_t kSharedTokens = 8;
// Tokens that were read anew and are worth a file.
constexpr int64_t kKeptTokens = 32;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Sequence {
  size_t number;
  const std::vector<int32_t>* prompt;
  GrowingKvCache cache;
  Generated result = {};
  bool done = false;
  int64_t forgotten = 0;             // ids after the first one that were left behind
  std::vector<int32_t> unread = {};  // before the next token can be chosen
  Sequence* source = nullptr;        // reads `shared` first tokens that this one begins with, too
  int64_t shared = 0;
  int64_t loaded = 0;  // first tokens that came from the prompt cache
  bool keeps = false;  // the prompt, in that cache
  std::unique_ptr<Drafter> drafter = {};
  bool has_begun = false;             // the drafter
  std::vector<int32_t> text = {};     // prompt and reply, where there is a drafter
  std::vector<int32_t> guesses = {};  // of what follows `unread`, in the forward at hand

  /// More than the last token: its prompt, or what is left after forgetting.
  bool is_reading() const { return result.ids.empty() || unread.size() > 1; }
};

/// Whether what was read of a text's beginning depends on how long the whole is.
bool depends_on_length(const nn::Module& module) {
  using Kind = ops::RopeScaling::Kind;
  if (const auto* attention = dynamic_cast<const nn::Attention*>(&module))
    if (const ops::RopeScaling* rope = attention->rope();
        rope != nullptr && (rope->kind == Kind::kDynamic || rope->kind == Kind::kLongrope))
      return true;
  for (const nn::Slot* slot : module.children())
    if (slot->module() != nullptr && depends_on_length(*slot->module())) return true;
  return false;
}

class Generation {
 public:
  Generation(nn::Model& model, const GenerationOptions& options, const OnToken& on_token)
      : model_(model), options_(options), on_token_(on_token), draft_length_(options.draft_tokens) {}

  /// Continues every sequence until it has stopped. A cache may hold the beginning of its prompt.
  void run(std::span<Sequence> sequences) {
    for (Sequence& sequence : sequences) {
      sequence.done = options_.max_new_tokens == 0;
      if (options_.drafter) {
        sequence.drafter = options_.drafter();
        sequence.text = *sequence.prompt;
      }
      look_ahead(sequence);
    }
    if (!depends_on_length(model_)) {
      if (options_.prompt_cache != nullptr) load_prompts(sequences);
      find_shared(sequences);
    }
    while (step(sequences)) {
    }
  }

 private:
  /// One forward: prompts first, as many together as fit, long ones in pieces; when all are read, a token of
  /// each. False when every sequence has stopped.
  bool step(std::span<Sequence> sequences) {
    bool reading = false, waiting = false;
    for (const Sequence& sequence : sequences) {
      waiting |= !sequence.done;
      reading |= !sequence.done && sequence.is_reading();
    }
    if (!waiting) return false;
    throw_if_interrupted();
    reading ? read(sequences) : decode(sequences);
    return true;
  }

  /// Rows of a forward whose scores choose a sequence's next tokens.
  struct Ready {
    Sequence* sequence;
    int64_t row, rows;
  };

  void load_prompts(std::span<Sequence> sequences) const {
    for (Sequence& sequence : sequences) {
      if (sequence.forgotten > 0 || sequence.cache.length() > 0 || sequence.done) continue;
      sequence.loaded = options_.prompt_cache->load(*sequence.prompt, sequence.cache);
      sequence.unread.erase(sequence.unread.begin(), sequence.unread.begin() + sequence.loaded);
      sequence.keeps = true;
    }
  }

  /// When a prompt has been read.
  void keep_prompt(Sequence& sequence) const {
    const auto size = static_cast<int64_t>(sequence.prompt->size());
    if (sequence.keeps && size - std::max(sequence.loaded, sequence.shared) >= kKeptTokens)
      options_.prompt_cache->keep(*sequence.prompt, sequence.cache);
    sequence.keeps = false;
  }

  /// For every prompt the earlier one that it shares the most first tokens with, more than were loaded; the
  /// last token is read in any case, since its scores choose the first new one.
  static void find_shared(std::span<Sequence> sequences) {
    for (size_t i = 1; i < sequences.size(); ++i) {
      Sequence& sequence = sequences[i];
      const std::vector<int32_t>& prompt = *sequence.prompt;
      if (sequence.forgotten > 0 || sequence.cache.length() > sequence.loaded) continue;
      const int64_t least = sequence.loaded + kSharedTokens;
      for (Sequence& earlier : sequences.first(i)) {
        const std::vector<int32_t>& other = *earlier.prompt;
        const auto differ = std::mismatch(prompt.begin(), prompt.end(), other.begin(), other.end());
        const int64_t common =
            std::min<int64_t>(differ.first - prompt.begin(), static_cast<int64_t>(prompt.size()) - 1);
        if (earlier.forgotten > 0 || common < std::max(least, sequence.shared + 1)) continue;
        sequence.source = &earlier;
        sequence.shared = common;
      }
    }
  }

  /// Takes over what the source has read; false while it has not read enough.
  static bool take_shared(Sequence& sequence) {
    if (sequence.source == nullptr) return true;
    if (sequence.source->forgotten > 0) {  // what it read is gone
      sequence.source = nullptr;
      return true;
    }
    if (sequence.source->cache.length() < sequence.shared) return false;
    const auto read = sequence.unread.begin();
    sequence.unread.erase(read, read + (sequence.shared - sequence.cache.length()));
    sequence.cache.copy_prefix(sequence.source->cache, sequence.shared);
    sequence.source = nullptr;
    return true;
  }

  void read(std::span<Sequence> sequences) {
    nn::Batch batch;
    std::vector<Ready> ready;
    for (Sequence& sequence : sequences) {
      if (sequence.done || !sequence.is_reading() || !take_shared(sequence)) continue;
      if (batch.token_count() >= kPrefillTokens) break;
      std::vector<int32_t>& unread = sequence.unread;
      const auto left = static_cast<int64_t>(unread.size());
      const int64_t now = std::min(left, kPrefillTokens - batch.token_count());
      batch.add(std::span(unread).first(static_cast<size_t>(now)), &sequence.cache,
                sequence.cache.length() + left);
      unread.erase(unread.begin(), unread.begin() + now);
      if (unread.empty()) ready.push_back({&sequence, batch.sequence_count() - 1, 1});
    }
    const Tensor hidden = model_.last_hidden(batch);
    for (const Ready& each : ready) keep_prompt(*each.sequence);
    choose(ready, hidden);
  }

  /// The last token of each sequence, and guesses of what follows.
  void decode(std::span<Sequence> sequences) {
    std::vector<Ready> ready;
    for (Sequence& sequence : sequences)
      if (!sequence.done) ready.push_back({&sequence, 0, 0});
    const double guessing = options_.drafter ? make_guesses(ready) : 0;
    const Clock::time_point guessed = Clock::now();
    nn::Batch batch;
    for (Ready& each : ready) {
      std::vector<int32_t> ids = std::move(each.sequence->unread);
      each.sequence->unread.clear();
      ids.insert(ids.end(), each.sequence->guesses.begin(), each.sequence->guesses.end());
      each.row = batch.token_count();
      each.rows = static_cast<int64_t>(ids.size());
      batch.add_stepwise(ids, &each.sequence->cache);
    }
    DraftLength::Forward forward = choose(ready, model_.hidden(batch));
    forward.guessing = guessing;
    forward.reading = seconds_since(guessed);
    draft_length_.learn(forward);
  }

  /// The seconds that guesses took.
  double make_guesses(std::span<const Ready> ready) const {
    const auto sequences = static_cast<int64_t>(ready.size());
    double seconds = 0;
    for (const Ready& each : ready) {
      Sequence& sequence = *each.sequence;
      const int64_t most = most_guesses(sequence);
      if (most <= 0) continue;
      const bool is_free = sequence.drafter->is_free();
      const int64_t made = is_free ? most : std::min(most, draft_length_.choose(sequences));
      if (made == 0) continue;
      if (!sequence.has_begun) sequence.drafter->begin(*sequence.prompt);
      sequence.has_begun = true;
      const Clock::time_point start = Clock::now();
      Draft draft = sequence.drafter->draft(sequence.text, made, sequence.cache);
      if (is_free && !draft.ids.empty())
        draft.ids.resize(static_cast<size_t>(draft_length_.choose(sequences, draft.chances)));
      sequence.guesses = std::move(draft.ids);
      seconds += seconds_since(start);
    }
    return seconds;
  }

  /// Not past the tokens that are wanted, nor to where ids are forgotten.
  int64_t most_guesses(const Sequence& sequence) const {
    const auto written = static_cast<int64_t>(sequence.result.ids.size());
    int64_t most = std::min(options_.draft_tokens, options_.max_new_tokens - written - 1);
    if (limit() > 0) most = std::min(most, limit() - static_cast<int64_t>(sequence.text.size()));
    return sequence.forgotten > 0 ? 0 : most;
  }

  /// Picks the next tokens of sequences that are read to their end: one, and one more behind every guess that
  /// was right.
  DraftLength::Forward choose(std::span<const Ready> ready, const Tensor& hidden) {
    DraftLength::Forward forward{.sequences = static_cast<int64_t>(ready.size())};
    if (ready.empty()) return forward;
    const Scores scores(model_.logits(rows_of(ready, hidden)), options_.sampling);
    int64_t first = 0;
    for (const Ready& each : ready) {
      Sequence& sequence = *each.sequence;
      const int64_t read = sequence.cache.length() - static_cast<int64_t>(sequence.guesses.size());
      int64_t right = 0;
      for (int64_t row = 0; row < each.rows && right == row && !sequence.done; ++row) {
        const int32_t id = take(sequence, scores, first + row);
        right += row < each.rows - 1 && id == sequence.guesses[static_cast<size_t>(row)];
      }
      first += each.rows;
      sequence.cache.truncate(read + right);
      sequence.result.drafted += each.rows - 1;
      sequence.result.accepted += right;
      forward.drafted += each.rows - 1;
      forward.accepted += right;
      forward.refuted += right < each.rows - 1;
      sequence.guesses.clear();
      if (!sequence.done) look_ahead(sequence);
    }
    return forward;
  }

  static Tensor rows_of(std::span<const Ready> ready, const Tensor& hidden) {
    int64_t count = 0;
    for (const Ready& each : ready) count += each.rows;
    if (count == hidden.dim(0)) return hidden;
    const Tensor rows = Tensor::empty({count, hidden.dim(1)}, hidden.dtype(), hidden.device());
    int64_t to = 0;
    for (const Ready& each : ready) {
      rows.slice(0, to, to + each.rows).copy_elements(hidden.slice(0, each.row, each.row + each.rows));
      to += each.rows;
    }
    return rows;
  }

  /// The next token, which may end the sequence.
  int32_t take(Sequence& sequence, const Scores& scores, int64_t row) {
    std::vector<int32_t>& ids = sequence.result.ids;
    const int32_t id = scores.sample(row, *sequence.prompt, ids, options_.first_sequence + sequence.number);
    if (std::find(options_.stop_ids.begin(), options_.stop_ids.end(), id) != options_.stop_ids.end()) {
      sequence.result.finish = Finish::kStop;
      sequence.done = true;
      return id;
    }
    ids.push_back(id);
    if (sequence.drafter) sequence.text.push_back(id);
    const auto length = static_cast<int64_t>(sequence.prompt->size() + ids.size());
    const bool full = options_.context == ContextPolicy::kStop && limit() > 0 && length > limit();
    if (on_token_ && !on_token_(sequence.number, id)) {
      sequence.result.finish = Finish::kStopped;
      sequence.done = true;
    } else if (static_cast<int64_t>(ids.size()) >= options_.max_new_tokens || full) {
      sequence.done = true;
    }
    return id;
  }

  /// Sets what must be read before the next token.
  void look_ahead(Sequence& sequence) {
    const std::vector<int32_t>& prompt = *sequence.prompt;
    const std::vector<int32_t>& ids = sequence.result.ids;
    const int64_t forgotten = forgotten_ids(static_cast<int64_t>(prompt.size() + ids.size()), limit());
    if (forgotten > sequence.forgotten) sequence.cache.truncate(0);
    sequence.forgotten = forgotten;
    const int64_t held = sequence.cache.length();
    const auto visible_from = [&](const std::vector<int32_t>& from, int64_t begin) {
      for (size_t i = static_cast<size_t>(std::max<int64_t>(begin, 0)); i < from.size(); ++i)
        sequence.unread.push_back(from[i]);
    };
    if (forgotten > 0 && held == 0) sequence.unread.push_back(prompt.front());
    const int64_t begin = held + forgotten + (forgotten > 0 && held == 0 ? 1 : 0);
    visible_from(prompt, begin);
    visible_from(ids, begin - static_cast<int64_t>(prompt.size()));
  }

  int64_t limit() const { return model_.shape().max_positions; }

  nn::Model& model_;
  const GenerationOptions& options_;
  const OnToken& on_token_;
  DraftLength draft_length_;
};

void check_prompt(const nn::Model& model, const std::vector<int32_t>& prompt, ContextPolicy policy) {
  if (prompt.empty()) bad_input("a prompt without tokens has nothing to continue");
  if (policy == ContextPolicy::kSlide)
    check_vocabulary(model.shape(), prompt);
  else
    check_ids(model.shape(), prompt);
}

void check_generation(const nn::Model& model, const GenerationOptions& options) {
  check(options.sampling);
  if (!model.shape().generates) bad_input("this model has no head that predicts tokens: it cannot generate");
}

}  // namespace

std::string_view name_of(Finish finish) {
  constexpr std::string_view kNames[] = {"stop", "length", "stopped"};
  return kNames[static_cast<size_t>(finish)];
}

void check_vocabulary(const nn::ModelShape& shape, std::span<const int32_t> ids) {
  for (const int32_t id : ids)
    if (id < 0 || id >= shape.vocabulary_size)
      bad_input("token id {} is outside the vocabulary of {}", id, shape.vocabulary_size);
}

void check_ids(const nn::ModelShape& shape, std::span<const int32_t> ids) {
  check_vocabulary(shape, ids);
  if (shape.max_positions > 0 && static_cast<int64_t>(ids.size()) > shape.max_positions)
    bad_input("the prompt has {} tokens and the model's context {}; shorten the prompt", ids.size(),
              shape.max_positions);
}

int64_t forgotten_ids(int64_t length, int64_t limit) {
  if (limit <= 0 || length <= limit) return 0;
  const int64_t half = std::max<int64_t>(limit / 2, 1);
  return (length - limit + half - 1) / half * half;
}

std::vector<Generated> generate(nn::Model& model, std::span<const std::vector<int32_t>> prompts,
                                const GenerationOptions& options, const OnToken& on_token) {
  check_generation(model, options);
  for (const std::vector<int32_t>& prompt : prompts) check_prompt(model, prompt, options.context);
  std::vector<Generated> results(prompts.size());
  const auto width = static_cast<size_t>(std::max<int64_t>(options.batch, 1));
  for (size_t first = 0; first < prompts.size(); first += width) {
    std::vector<Sequence> sequences;
    for (size_t i = first; i < std::min(first + width, prompts.size()); ++i)
      sequences.push_back(
          {i, &prompts[i], GrowingKvCache(model.shape().layers, model.shape().lead_positions)});
    Generation(model, options, on_token).run(sequences);
    for (Sequence& sequence : sequences) results[sequence.number] = std::move(sequence.result);
  }
  return results;
}

int64_t reusable_ids(const nn::Model& model, const ReadContext& context, std::span<const int32_t> prompt) {
  const auto size = static_cast<int64_t>(prompt.size());
  // Where ids are forgotten, positions move, and nothing that was read stays right.
  if (forgotten_ids(size, model.shape().max_positions) > 0) return 0;
  const auto [held, same] =
      std::mismatch(context.ids.begin(), context.ids.end(), prompt.begin(), prompt.end());
  // The last id is read in any case: its scores choose the first new token.
  return std::min<int64_t>(held - context.ids.begin(), size - 1);
}

Generated generate_on(nn::Model& model, ReadContext& context, const std::vector<int32_t>& prompt,
                      const GenerationOptions& options, const OnToken& on_token) {
  check_generation(model, options);
  check_prompt(model, prompt, options.context);
  const int64_t common = reusable_ids(model, context, prompt);
  Sequence sequence{0, &prompt, std::move(context.cache)};
  sequence.cache.truncate(common);
  const auto give_back = [&] {
    context.ids = prompt;
    context.ids.insert(context.ids.end(), sequence.result.ids.begin(), sequence.result.ids.end());
    // What a forward that failed left in some layers goes, and guesses that were not looked at.
    sequence.cache.truncate(
        sequence.forgotten > 0 ? 0
                               : std::min(sequence.cache.length(), static_cast<int64_t>(context.ids.size())));
    context.ids.resize(static_cast<size_t>(sequence.cache.length()));
    context.cache = std::move(sequence.cache);
  };
  try {
    Generation(model, options, on_token).run(std::span(&sequence, 1));
  } catch (...) {
    give_back();
    throw;
  }
  give_back();
  return std::move(sequence.result);
}

Tensor all_logits(nn::Model& model, std::span<const int32_t> ids) {
  if (ids.empty()) bad_input("there are no token ids to compute logits for");
  check_ids(model.shape(), ids);
  nn::Batch batch;
  batch.add(ids);
  return model.logits(model.hidden(batch));
}

}  // namespace martlet::infer

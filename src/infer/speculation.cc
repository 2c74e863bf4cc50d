#include "infer/speculation.h"

#include <algorithm>
#include <cmath>

namespace martlet::infer {
namespace {

/// A draft ends where the model that makes it is less sure than this.
constexpr double kLeastProbability = 0.4;

/// Reads `ids` and gives the most probable next one; `probability`: what the model gives it.
int32_t next(nn::Model& model, std::span<const int32_t> ids, nn::KvCache& cache, double& probability) {
  nn::Batch batch;
  batch.add(ids, &cache);
  const std::vector<float> scores = model.logits(model.last_hidden(batch)).to_vector<float>();
  const auto best = std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const float score : scores) sum += std::exp(static_cast<double>(score - *best));
  probability = 1 / sum;
  return static_cast<int32_t>(best - scores.begin());
}

/// What follows a text of `length` ids whose last ones are `unread`, the others being in `cache`.
std::vector<int32_t> likely(nn::Model& model, std::span<const int32_t> unread, size_t length, int64_t most,
                            nn::KvCache& cache) {
  const int64_t limit = model.shape().max_positions;
  if (limit > 0) most = std::min(most, limit - static_cast<int64_t>(length) + 1);
  std::vector<int32_t> guesses;
  for (int32_t guess = 0; static_cast<int64_t>(guesses.size()) < most; unread = std::span(&guess, 1)) {
    double probability = 0;
    guess = next(model, unread, cache, probability);
    if (probability < kLeastProbability) break;
    guesses.push_back(guess);
  }
  return guesses;
}

/// The first layers of a cache, which run ahead of the others.
class FirstLayers final : public nn::KvCache {
 public:
  explicit FirstLayers(GrowingKvCache& all) : all_(all) {}
  ops::KeyValueTiles append(int64_t layer, ops::CacheFormat format, const Tensor& keys,
                            const Tensor& values) override {
    return all_.append(layer, format, keys, values);
  }
  int64_t length() const override { return all_.length(0); }

 private:
  GrowingKvCache& all_;
};

}  // namespace

void ModelDrafter::begin(std::span<const int32_t> prompt) {
  const auto size = static_cast<int64_t>(prompt.size());
  const int64_t limit = model_.shape().max_positions;
  if (limit > 0 && size > limit) return;  // it will guess nothing
  for (int64_t done = 0; done < size; done = cache_.length()) {
    const auto piece =
        prompt.subspan(static_cast<size_t>(done), static_cast<size_t>(std::min(size - done, kPrefillTokens)));
    nn::Batch batch;
    batch.add(piece, &cache_, size);
    model_.last_hidden(batch);
  }
  read_.assign(prompt.begin(), prompt.end());
}

Draft ModelDrafter::draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache&) {
  if (ids.empty()) return {};
  const auto [held, same] = std::mismatch(read_.begin(), read_.end(), ids.begin(), ids.end());
  const auto common = std::min(static_cast<size_t>(held - read_.begin()), ids.size() - 1);
  read_.resize(common);
  cache_.truncate(static_cast<int64_t>(common));
  std::vector<int32_t> guesses = likely(model_, ids.subspan(common), ids.size(), most, cache_);
  read_.assign(ids.begin(), ids.end());
  read_.insert(read_.end(), guesses.begin(), guesses.end());
  read_.resize(static_cast<size_t>(cache_.length()));
  return {std::move(guesses)};
}

Draft EarlyDrafter::draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) {
  const int64_t held = read.length();
  if (held >= static_cast<int64_t>(ids.size())) return {};
  FirstLayers cache(read);
  std::vector<int32_t> guesses =
      likely(model_, ids.subspan(static_cast<size_t>(held)), ids.size(), most, cache);
  read.truncate(held);
  return {std::move(guesses)};
}

int64_t DraftLength::choose(int64_t sequences, std::span<const double> chances) const {
  if (token_seconds_ == 0) return 0;
  constexpr double kMostLost = 0.02;
  constexpr double kMostLostTokens = 2;  // before so much was gained or written
  if (spent_ - gained_ > kMostLost * whole_ + kMostLostTokens * token_seconds_) return 0;
  // Tokens of a forward with so many guesses, over what it takes.
  const double alone = token_seconds_ * static_cast<double>(sequences);
  double best = static_cast<double>(sequences) / alone;
  double tokens = 1;
  double all_hold = 1;
  int64_t length = 0;
  const int64_t most = chances.empty() ? most_ : std::min(most_, static_cast<int64_t>(chances.size()));
  for (int64_t guesses = 1; guesses <= most; ++guesses) {
    all_hold *= chances.empty() ? held_ : chances[static_cast<size_t>(guesses - 1)];
    tokens += all_hold;
    const double rate = static_cast<double>(sequences) * tokens /
                        (alone + guess_seconds_ * static_cast<double>(guesses * sequences));
    if (rate <= best) continue;
    best = rate;
    length = guesses;
  }
  return length;
}

void DraftLength::learn(const Forward& forward) {
  constexpr double kNew = 0.1;         // weight of the newest
  constexpr double kForgotten = 0.01;  // of an opinion, at each forward that does not test it
  const auto sequences = static_cast<double>(forward.sequences);
  const auto drafted = static_cast<double>(forward.drafted);
  const auto accepted = static_cast<double>(forward.accepted);
  whole_ += forward.guessing + forward.reading;
  spent_ += forward.guessing;
  const double each = forward.reading / sequences;
  if (forward.drafted == 0) {
    // Before any was read, a guess is taken to cost a quarter of a token.
    if (plain_ == 0) guess_seconds_ = each / 4;
    token_seconds_ += std::max(kNew, 1 / static_cast<double>(++plain_)) * (each - token_seconds_);
    held_ += kForgotten * (kFirstHeld - held_);
    return;
  }
  // It would not have taken longer without guesses.
  token_seconds_ = std::min(token_seconds_, each);
  // Nor is a guess dearer than a token: what is above, such as another process that had the processor for a
  // while, says nothing of guesses.
  const double extra = std::min(forward.reading - token_seconds_ * sequences, token_seconds_ * drafted);
  extra_ += forward.guessing + extra - kNew * extra_;
  read_ += drafted - kNew * read_;
  guess_seconds_ = extra_ / read_;
  spent_ += extra;
  gained_ += accepted * token_seconds_;
  // Guesses behind a sequence's first wrong one say nothing.
  held_ += kNew * (accepted / (accepted + static_cast<double>(forward.refuted)) - held_);
}

}  // namespace martlet::infer

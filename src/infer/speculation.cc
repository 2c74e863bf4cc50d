#include "infer/speculation.h"

#include <algorithm>
#include <cmath>

namespace martlet::infer {
namespace {

uint64_t hash_of(std::span<const int32_t> run) {
  uint64_t hash = 1469598103934665603u;  // FNV-1a over tokens
  for (const int32_t id : run) hash = (hash ^ static_cast<uint32_t>(id)) * 1099511628211u;
  return hash;
}

/// A draft ends where the model that makes it is less sure than this.
constexpr double kLeastProbability = 0.4;

/// Reads `ids` and gives the most probable next one; `probability`: what the model gives it.
int32_t next(nn::Model& model, std::span<const int32_t> ids, nn::KvCache& cache, double& probability) {
  nn::Batch batch;
  batch.add(ids, &cache);
  const Tensor hidden = model.hidden(batch);
  const std::vector<float> scores =
      model.logits(hidden.slice(0, hidden.dim(0) - 1, hidden.dim(0))).to_vector<float>();
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

size_t NgramDrafter::continuation(std::span<const int32_t> ids) const {
  for (size_t n = std::min(kLongest, ids.size()); n >= kShortest; --n) {
    const std::span<const int32_t> run = ids.last(n);
    const auto found = after_[n].find(hash_of(run));
    if (found == after_[n].end()) continue;
    // Two runs may share a hash.
    const size_t at = found->second;
    if (std::equal(run.begin(), run.end(), ids.begin() + static_cast<int64_t>(at - n))) return at;
  }
  return 0;
}

std::vector<int32_t> NgramDrafter::draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache&) {
  // The last token's runs go in later: they would find themselves.
  for (; known_ + 1 < ids.size(); ++known_)
    for (size_t n = kShortest; n <= std::min(kLongest, known_ + 1); ++n)
      after_[n][hash_of(ids.subspan(known_ + 1 - n, n))] = known_ + 1;
  const size_t from = continuation(ids);
  std::vector<int32_t> guesses;
  if (from == 0) return guesses;
  // Behind the text's end stand the guesses: what repeats goes on repeating.
  for (size_t i = from; static_cast<int64_t>(guesses.size()) < most; ++i)
    guesses.push_back(i < ids.size() ? ids[i] : guesses[i - ids.size()]);
  return guesses;
}

std::vector<int32_t> ModelDrafter::draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache&) {
  if (ids.empty()) return {};
  const auto [held, same] = std::mismatch(read_.begin(), read_.end(), ids.begin(), ids.end());
  const auto common = std::min(static_cast<size_t>(held - read_.begin()), ids.size() - 1);
  read_.resize(common);
  cache_.truncate(static_cast<int64_t>(common));
  const std::vector<int32_t> guesses = likely(model_, ids.subspan(common), ids.size(), most, cache_);
  read_.assign(ids.begin(), ids.end());
  read_.insert(read_.end(), guesses.begin(), guesses.end());
  read_.resize(static_cast<size_t>(cache_.length()));
  return guesses;
}

std::vector<int32_t> EarlyDrafter::draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) {
  const int64_t held = read.length();
  if (held >= static_cast<int64_t>(ids.size())) return {};
  FirstLayers cache(read);
  const std::vector<int32_t> guesses =
      likely(model_, ids.subspan(static_cast<size_t>(held)), ids.size(), most, cache);
  read.truncate(held);
  return guesses;
}

int64_t DraftLength::choose(int64_t sequences) const {
  if (token_seconds_ == 0) return 0;
  constexpr double kMostLost = 0.02;
  if (spent_ - gained_ > kMostLost * whole_) return 0;
  // Tokens of a forward with so many guesses, over what it takes.
  const double alone = token_seconds_ * static_cast<double>(sequences);
  double best = static_cast<double>(sequences) / alone;
  double tokens = 1;
  double all_hold = 1;
  int64_t length = 0;
  for (int64_t guesses = 1; guesses <= most_; ++guesses) {
    all_hold *= held_;
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
  if (forward.drafted == 0) {
    const double each = forward.reading / sequences;
    // Before any was read, a guess is taken to cost a quarter of a token.
    if (token_seconds_ == 0) guess_seconds_ = each / 4;
    token_seconds_ += (token_seconds_ == 0 ? 1.0 : kNew) * (each - token_seconds_);
    held_ += kForgotten * (kFirstHeld - held_);
    return;
  }
  const double extra = std::max(0.0, forward.reading - token_seconds_ * sequences);
  guess_seconds_ += kNew * ((forward.guessing + extra) / drafted - guess_seconds_);
  spent_ += extra;
  gained_ += accepted * token_seconds_;
  // Guesses behind a sequence's first wrong one say nothing.
  held_ += kNew * (accepted / (accepted + static_cast<double>(forward.refuted)) - held_);
}

}  // namespace martlet::infer

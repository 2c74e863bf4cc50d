#include "data/batches.h"

#include <algorithm>

#include "base/error.h"
#include "base/fields.h"
#include "base/random.h"

namespace martlet::data {
namespace {

constexpr int64_t kLargestStep = int64_t{1} << 31;  // tokens: starts are 32-bit

Permutation order_of(uint64_t seed, size_t source, int64_t epoch, int64_t count) {
  const Philox keys(seed, stream_of(fmt::format("order/{}", source)));
  const std::array<uint32_t, 4> block = keys.block(static_cast<uint64_t>(epoch));
  return Permutation(static_cast<uint64_t>(count), (uint64_t{block[1]} << 32) | block[0]);
}

void check(const BatchOptions& options) {
  if (options.seq < 1) fail(ErrorCode::kUsage, "a sequence needs a token at least, not {}", options.seq);
  if (options.batch < 1) fail(ErrorCode::kUsage, "a batch needs a sequence at least, not {}", options.batch);
  if (options.seq > kLargestStep / options.batch)
    fail(ErrorCode::kUsage, "{} sequences of {} tokens are too many for one step", options.batch,
         options.seq);
  if (options.epochs < 0) fail(ErrorCode::kUsage, "epochs cannot be {}", options.epochs);
}

void check(const std::vector<MixingStep>& mixing, size_t sources) {
  int64_t last = -1;
  for (const MixingStep& entry : mixing) {
    if (entry.weights.size() != sources)
      fail(ErrorCode::kUsage, "mixing needs a weight for each of {} sources, not {}", sources,
           entry.weights.size());
    double total = 0;
    for (const double weight : entry.weights) {
      if (!(weight >= 0 && weight <= 1e12)) fail(ErrorCode::kUsage, "a mixing weight cannot be {}", weight);
      total += weight;
    }
    if (!(total > 0)) fail(ErrorCode::kUsage, "the mixing weights from step {} on are all 0", entry.step);
    if (entry.step <= last) fail(ErrorCode::kUsage, "mixing steps must rise; {} does not", entry.step);
    last = entry.step;
  }
  if (!mixing.empty() && mixing.front().step != 0)
    fail(ErrorCode::kUsage, "mixing must begin at step 0, not {}", mixing.front().step);
}

}  // namespace

nn::Batch batch_of(const TrainingBatch& batch) {
  nn::Batch result;
  for (size_t i = 0; i + 1 < batch.starts.size(); ++i) {
    const auto begin = static_cast<size_t>(batch.starts[i]), end = static_cast<size_t>(batch.starts[i + 1]);
    result.add(std::span(batch.ids).subspan(begin, end - begin));
  }
  return result;
}

Json BatchPosition::to_json() const {
  Json list{Json::Array{}};
  for (const Source& source : sources) {
    Json entry;
    entry.set("epoch", source.epoch).set("next", source.next);
    list.push_back(std::move(entry));
  }
  Json result;
  result.set("step", step).set("drawn", drawn).set("sources", std::move(list));
  return result;
}

BatchPosition BatchPosition::from_json(const Json& json) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const std::string name = "the data position";
  if (!json.is_object()) bad_input("{} must be a table, not {}", name, json.kind_name());
  const Fields fields(json, name);
  BatchPosition position;
  position.step = fields.integer_within("step", 0, kMost);
  position.drawn = fields.integer_within("drawn", 0, kMost);
  const Json* sources = fields.value("sources");
  if (sources == nullptr || !sources->is_array()) bad_input("{}: 'sources' must be a list", name);
  for (const Json& entry : sources->array()) {
    if (!entry.is_object()) bad_input("{}: a source must be a table, not {}", name, entry.kind_name());
    const Fields source(entry, name);
    position.sources.push_back(
        {source.integer_within("epoch", 0, kMost), source.integer_within("next", 0, kMost)});
  }
  return position;
}

Batches::Batches(std::vector<TokenSet> sources, BatchOptions options, std::vector<MixingStep> mixing)
    : options_(options), mixing_(std::move(mixing)) {
  check(options_);
  if (sources.empty()) fail(ErrorCode::kUsage, "training needs a token set at least");
  check(mixing_, sources.size());
  std::vector<double> sizes;
  for (TokenSet& tokens : sources) {
    PieceIndex pieces(tokens, options_.seq, options_.pack == Pack::kNone);
    if (pieces.count() == 0)
      bad_input("source {} of the data has no document of two tokens", sources_.size() + 1);
    sizes.push_back(static_cast<double>(pieces.count()));
    const Permutation first = order_of(options_.seed, sources_.size(), 0, pieces.count());
    sources_.push_back({std::move(tokens), std::move(pieces), first, 0});
  }
  if (mixing_.empty()) mixing_.push_back({0, sizes});
  position_.sources.resize(sources_.size());
}

Hash128 Batches::content_hash() const {
  std::string hashes;
  for (const Source& source : sources_) hashes += text_of(source.tokens.content_hash());
  return hash128(hashes);
}

int64_t Batches::memory_bytes(int64_t batches) const {
  const int64_t tokens = options_.seq * options_.batch;
  const int64_t numbers = 2 * tokens + options_.batch + 1;
  int64_t bytes = batches * numbers * static_cast<int64_t>(sizeof(int32_t));
  for (const Source& source : sources_)
    bytes += source.tokens.mapped_bytes() + static_cast<int64_t>(source.pieces.bytes());
  return bytes;
}

bool Batches::exhausted(size_t source) const {
  return options_.epochs > 0 && position_.sources[source].epoch >= options_.epochs;
}

/// The source of the next piece; the number of sources when all are exhausted.
size_t Batches::choose_source() const {
  const MixingStep* current = &mixing_.front();
  for (const MixingStep& entry : mixing_)
    if (entry.step <= position_.step) current = &entry;
  double total = 0;
  for (size_t i = 0; i < sources_.size(); ++i) total += exhausted(i) ? 0 : current->weights[i];
  // Sources without weight now are left for a later entry, which may never come: reading ends here.
  if (!(total > 0)) return sources_.size();
  const Philox draws(options_.seed, stream_of("mixing"));
  double left = sources_.size() == 1 ? 0 : draws.uniform(static_cast<uint64_t>(position_.drawn)) * total;
  size_t chosen = sources_.size();
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (exhausted(i) || current->weights[i] <= 0) continue;
    chosen = i;
    left -= current->weights[i];
    if (left < 0) break;
  }
  return chosen;
}

PieceIndex::Piece Batches::upcoming(size_t index) {
  Source& source = sources_[index];
  const BatchPosition::Source& at = position_.sources[index];
  if (options_.order == Order::kSequential) return source.pieces.piece(at.next);
  if (source.permuted_epoch != at.epoch) {
    source.permutation = order_of(options_.seed, index, at.epoch, source.pieces.count());
    source.permuted_epoch = at.epoch;
  }
  return source.pieces.piece(static_cast<int64_t>(source.permutation(static_cast<uint64_t>(at.next))));
}

void Batches::advance(size_t index) {
  BatchPosition::Source& at = position_.sources[index];
  ++position_.drawn;
  if (++at.next < sources_[index].pieces.count()) return;
  at.next = 0;
  ++at.epoch;
}

/// Adds a piece; leaves the batch as it was, and gives false, where the piece has no target.
bool Batches::append(size_t index, const PieceIndex::Piece& piece, TrainingBatch& batch) const {
  const TokenSet& tokens = sources_[index].tokens;
  std::vector<int32_t> ids;
  tokens.read(piece.document, piece.begin, piece.end + 1, ids);
  const size_t first = batch.targets.size();
  int64_t counted = 0;
  for (size_t i = 1; i < ids.size(); ++i) {
    const bool learns =
        !tokens.has_mask() || tokens.learns(piece.document, piece.begin + static_cast<int64_t>(i));
    batch.targets.push_back(learns ? ids[i] : kIgnoredTarget);
    counted += learns ? 1 : 0;
  }
  if (counted == 0) {
    batch.targets.resize(first);
    return false;
  }
  batch.ids.insert(batch.ids.end(), ids.begin(), ids.end() - 1);
  batch.starts.push_back(static_cast<int32_t>(batch.ids.size()));
  batch.target_count += counted;
  return true;
}

TrainingBatch Batches::next() {
  TrainingBatch batch;
  batch.starts.push_back(0);
  const int64_t room = options_.seq * options_.batch;
  int64_t without_target = 0;
  while (options_.pack == Pack::kDocuments || std::ssize(batch.starts) <= options_.batch) {
    const size_t source = choose_source();
    if (source == sources_.size()) break;
    const PieceIndex::Piece piece = upcoming(source);
    if (std::ssize(batch.ids) + piece.end - piece.begin > room) break;
    if (append(source, piece, batch))
      without_target = 0;
    else if (++without_target > 2 * sequences_per_epoch() + 1000)
      bad_input("nothing in the data is to be learnt: no conversation has a message of the assistant");
    advance(source);
    if (std::ssize(batch.ids) == room && options_.pack == Pack::kDocuments) break;
  }
  if (!batch.empty()) ++position_.step;
  return batch;
}

void Batches::seek(const BatchPosition& position) {
  if (position.sources.size() != sources_.size())
    bad_input("the data position is of {} sources, but training reads {}", position.sources.size(),
              sources_.size());
  for (size_t i = 0; i < sources_.size(); ++i)
    if (position.sources[i].next >= sources_[i].pieces.count())
      bad_input("the data position is past the end of source {}: {} of {} sequences; the data has changed",
                i + 1, position.sources[i].next, sources_[i].pieces.count());
  position_ = position;
}

int64_t Batches::sequences_per_epoch() const {
  int64_t total = 0;
  for (const Source& source : sources_) total += source.pieces.count();
  return total;
}

}  // namespace martlet::data

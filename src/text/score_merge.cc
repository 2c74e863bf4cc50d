// SentencePiece's byte-pair encoding, whose merges are the tokens themselves.

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "text/joinable.h"
#include "text/model.h"

namespace martlet::text {

namespace {

class ScoreMergeModel : public Model {
 public:
  ScoreMergeModel(const Vocabulary& vocabulary, std::span<const float> scores, int32_t unknown);

 protected:
  void encode_piece(std::string_view piece, Workspace& workspace, TokenList& out) const override;
  bool caches_parts() const override { return true; }

 private:
  struct Oracle {
    const ScoreMergeModel& model;
    std::string_view text;
    Merge operator()(const Symbol& left, const Symbol& right) const {
      const uint32_t length = right.end - left.begin;
      if (length > model.longest_) return {};
      const int32_t id = model.vocabulary_.find(text.substr(left.begin, length));
      return id == Vocabulary::kNone ? Merge{} : Merge{model.rank_[static_cast<size_t>(id)], id};
    }
  };
  void encode_part(std::string_view part, Workspace& workspace, TokenList& out) const;

  const Vocabulary& vocabulary_;
  std::vector<uint32_t> rank_;  // of each token: how many better scores there are
  uint32_t ranks_ = 0;
  size_t longest_ = 0;
  std::array<int32_t, 256> bytes_{};
  Joinable joinable_;
};

/// A number for each score; greater scores have lower ones, equal scores equal ones.
uint32_t order_of(float score) {
  const float positive_zero = score + 0.0F;  // the two zeros are equal
  const auto bits = std::bit_cast<uint32_t>(positive_zero);
  return (bits >> 31) == 0 ? 0x7FFFFFFF - bits : bits;
}

/// The places 0, 1, ... of `keys` in ascending order, in three passes over eleven bits each: a quarter of a
/// million scores take a few milliseconds.
std::vector<uint32_t> sorted_places(std::span<const uint32_t> keys) {
  constexpr int kBits = 11;
  std::vector<uint32_t> order(keys.size()), next(keys.size());
  std::iota(order.begin(), order.end(), 0);
  for (int shift = 0; shift < 32; shift += kBits) {
    std::array<uint32_t, (1 << kBits) + 1> begins{};
    const auto digit = [&](uint32_t place) { return keys[place] >> shift & ((1U << kBits) - 1); };
    for (const uint32_t place : order) ++begins[digit(place) + 1];
    for (size_t i = 1; i < begins.size(); ++i) begins[i] += begins[i - 1];
    for (const uint32_t place : order) next[begins[digit(place)]++] = place;
    order.swap(next);
  }
  return order;
}

ScoreMergeModel::ScoreMergeModel(const Vocabulary& vocabulary, std::span<const float> scores, int32_t unknown)
    : vocabulary_(vocabulary), rank_(scores.size()) {
  std::vector<uint32_t> keys(scores.size());
  std::transform(scores.begin(), scores.end(), keys.begin(), order_of);
  const std::vector<uint32_t> order = sorted_places(keys);
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && keys[order[i]] != keys[order[i - 1]]) ++ranks_;
    rank_[order[i]] = ranks_;
  }
  ++ranks_;
  for (int64_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view token = vocabulary.token(id);
    longest_ = std::max(longest_, token.size());
    joinable_.add_token(token);
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    bytes_[byte] = vocabulary.find(fmt::format("<0x{:02X}>", byte));
    if (bytes_[byte] == Vocabulary::kNone)
      bytes_[byte] = vocabulary.find(std::string(1, static_cast<char>(byte)));
    if (bytes_[byte] == Vocabulary::kNone) bytes_[byte] = unknown;
  }
}

void ScoreMergeModel::encode_piece(std::string_view piece, Workspace& workspace, TokenList& out) const {
  joinable_.cut(piece, [&](size_t begin, size_t end) {
    const size_t before = out.spans == nullptr ? 0 : out.spans->size();
    cached(piece.substr(begin, end - begin), workspace, out,
           [&](std::string_view part) { encode_part(part, workspace, out); });
    if (out.spans == nullptr) return;
    for (size_t i = before; i < out.spans->size(); ++i) {
      (*out.spans)[i].begin += static_cast<uint32_t>(begin);
      (*out.spans)[i].end += static_cast<uint32_t>(begin);
    }
  });
}

void ScoreMergeModel::encode_part(std::string_view part, Workspace& workspace, TokenList& out) const {
  std::vector<Symbol>& symbols = workspace.merge.symbols;
  symbols.clear();
  for (size_t at = 0; at < part.size();) {
    const auto begin = static_cast<uint32_t>(at);
    at += character_length(part[at]);
    symbols.push_back({Vocabulary::kNone, begin, static_cast<uint32_t>(at)});
  }
  merge_symbols(Oracle{*this, part}, ranks_, workspace.merge);
  for (const Symbol& symbol : symbols) {
    const std::string_view text = part.substr(symbol.begin, symbol.end - symbol.begin);
    const int32_t id = symbol.id != Vocabulary::kNone ? symbol.id : vocabulary_.find(text);
    if (id != Vocabulary::kNone) {
      out.ids.push_back(id);
      if (out.spans != nullptr) out.spans->push_back({symbol.begin, symbol.end});
      continue;
    }
    for (const char byte : text) {
      const int32_t fallback = bytes_[static_cast<unsigned char>(byte)];
      if (fallback == Vocabulary::kNone) {
        bad_input("the vocabulary has no token for \"{}\", no byte tokens and no unknown token", text);
      }
      out.ids.push_back(fallback);
      if (out.spans != nullptr) out.spans->push_back({symbol.begin, symbol.end});
    }
  }
}

}  // namespace

std::unique_ptr<Model> make_score_merge_model(const Vocabulary& vocabulary, std::span<const float> scores,
                                              int32_t unknown) {
  return std::make_unique<ScoreMergeModel>(vocabulary, scores, unknown);
}

}  // namespace martlet::text

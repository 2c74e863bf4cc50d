// SentencePiece's byte-pair encoding, whose merges are the tokens themselves.

#include <algorithm>
#include <array>
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

ScoreMergeModel::ScoreMergeModel(const Vocabulary& vocabulary, std::span<const float> scores, int32_t unknown)
    : vocabulary_(vocabulary), rank_(scores.size()) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && scores[order[i]] != scores[order[i - 1]]) ++ranks_;
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

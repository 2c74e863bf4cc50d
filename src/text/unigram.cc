// The unigram model: the best path through all segmentations, by dynamic programming from left to right.

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/error.h"
#include "text/byte_trie.h"
#include "text/model.h"
#include "text/unicode.h"

namespace martlet::text {

namespace {

// How much worse than the worst token an unknown character is, as SentencePiece has it.
constexpr double kUnknownPenalty = 10.0;

class UnigramModel : public Model {
 public:
  UnigramModel(const Vocabulary& vocabulary, std::vector<double> scores, UnigramOptions options)
      : vocabulary_(vocabulary), scores_(std::move(scores)), options_(options) {
    std::vector<std::pair<std::string_view, int32_t>> entries;
    double worst = std::numeric_limits<double>::infinity();
    for (int64_t id = 0; id < vocabulary.size(); ++id) {
      if (!vocabulary.token(id).empty()) entries.emplace_back(vocabulary.token(id), static_cast<int32_t>(id));
      worst = std::min(worst, scores_[static_cast<size_t>(id)]);
    }
    trie_ = ByteTrie(std::move(entries));
    unknown_score_ = worst - kUnknownPenalty;
    for (size_t byte = 0; byte < 256; ++byte) bytes_[byte] = vocabulary.find(fmt::format("<0x{:02X}>", byte));
  }

  bool tokens_are_text() const override { return true; }

 protected:
  void encode_piece(std::string_view piece, Workspace& workspace, TokenList& out) const override;

 private:
  void search(std::string_view piece, std::vector<BestPath>& paths) const;
  void add_unknown(std::string_view text, Span span, TokenList& out) const;

  const Vocabulary& vocabulary_;
  std::vector<double> scores_;
  UnigramOptions options_;
  ByteTrie trie_;
  double unknown_score_ = 0;
  std::array<int32_t, 256> bytes_{};
};

/// Fills paths[i] with the best segmentation of the first i bytes. Of equal scores the longer last token
/// counts.
void UnigramModel::search(std::string_view piece, std::vector<BestPath>& paths) const {
  paths.assign(piece.size() + 1, {});
  const auto offer = [&](size_t end, size_t begin, double score, int32_t id) {
    BestPath& path = paths[end];
    if (path.begin == UINT32_MAX || score > path.score) path = {score, static_cast<uint32_t>(begin), id};
  };
  for (size_t begin = 0; begin < piece.size();) {
    const double so_far = paths[begin].score;
    const size_t length = character_length(piece[begin]);
    bool has_character = false;
    uint32_t node = ByteTrie::kRoot;
    for (size_t at = begin; at < piece.size() && trie_.step(node, piece[at]);) {
      ++at;
      const int32_t id = trie_.value(node);
      if (id == ByteTrie::kNone) continue;
      offer(at, begin, scores_[static_cast<size_t>(id)] + so_far, id);
      has_character = has_character || at - begin == length;
    }
    if (!has_character) {
      if (options_.unknown == Vocabulary::kNone) {
        bad_input("the vocabulary has no token for \"{}\" and \"unk_id\" names no unknown token",
                  piece.substr(begin, length));
      }
      offer(begin + length, begin, unknown_score_ + so_far, options_.unknown);
    }
    begin += length;
  }
}

void UnigramModel::add_unknown(std::string_view text, Span span, TokenList& out) const {
  const int32_t whole = vocabulary_.find(text);
  const auto known = [this](char byte) {
    return bytes_[static_cast<unsigned char>(byte)] != Vocabulary::kNone;
  };
  const auto add = [&](int32_t id) {
    out.ids.push_back(id);
    if (out.spans != nullptr) out.spans->push_back(span);
  };
  if (whole != Vocabulary::kNone) return add(whole);
  if (options_.byte_fallback && std::all_of(text.begin(), text.end(), known)) {
    for (const char byte : text) add(bytes_[static_cast<unsigned char>(byte)]);
    return;
  }
  add(options_.unknown);
}

void UnigramModel::encode_piece(std::string_view piece, Workspace& workspace, TokenList& out) const {
  std::vector<BestPath>& paths = workspace.paths;
  search(piece, paths);
  // Turn the links round: paths[begin].begin becomes where the token that begins there ends.
  uint32_t next = static_cast<uint32_t>(piece.size());
  int32_t next_id = paths[next].id;
  for (uint32_t at = paths[next].begin;;) {
    const BestPath here = paths[at];
    paths[at].begin = next;
    paths[at].id = next_id;
    if (at == 0) break;
    next = at;
    next_id = here.id;
    at = here.begin;
  }
  const auto size = static_cast<uint32_t>(piece.size());
  for (uint32_t at = 0; at < size;) {
    uint32_t end = paths[at].begin;
    const int32_t id = paths[at].id;
    if (id == options_.unknown && id != Vocabulary::kNone) {
      // Unknown neighbours are one token, or one run of bytes.
      while (end < size && paths[end].id == id) end = paths[end].begin;
      add_unknown(piece.substr(at, end - at), {at, end}, out);
    } else {
      out.ids.push_back(id);
      if (out.spans != nullptr) out.spans->push_back({at, end});
    }
    at = end;
  }
}

}  // namespace

std::unique_ptr<Model> make_unigram_model(const Vocabulary& vocabulary, std::vector<double> scores,
                                          UnigramOptions options) {
  return std::make_unique<UnigramModel>(vocabulary, std::move(scores), options);
}

}  // namespace martlet::text

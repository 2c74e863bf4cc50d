// Byte-pair encoding by a list of merges.

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/joinable.h"
#include "text/model.h"

namespace martlet::text {

namespace {

class BytePairModel : public Model {
 public:
  BytePairModel(const Vocabulary& vocabulary, std::vector<MergeRule> merges, BytePairOptions options);

 protected:
  void encode_piece(std::string_view piece, Workspace& workspace, TokenList& out) const override;
  bool caches_parts() const override { return joinable_.has_value(); }

 private:
  // Whether a symbol is the first and the last of its piece.
  struct Place {
    bool first;
    bool last;
  };
  struct Oracle {
    const BytePairModel& model;
    Merge operator()(const Symbol& left, const Symbol& right) const {
      const uint32_t rank = model.pairs_.find(left.id, right.id);
      return rank == PairTable::kNone ? Merge{} : Merge{rank, model.merged_[rank]};
    }
  };

  void prepare_bytes();
  void prepare_whole_bytes();
  void prepare_cuts(const std::vector<MergeRule>& merges);
  void encode_part(std::string_view part, Workspace& workspace, TokenList& out) const;
  void add_byte_symbols(std::string_view part, std::vector<Symbol>& symbols) const;
  void add_character_symbols(std::string_view part, std::vector<Symbol>& symbols) const;
  bool add_byte_fallback(std::string_view token, uint32_t begin, std::vector<Symbol>& symbols) const;
  void add_unknown(uint32_t begin, uint32_t end, std::optional<Symbol>& pending,
                   std::vector<Symbol>& symbols) const;
  int32_t find_character(std::string_view character, Place place) const;
  int32_t find_whole(std::string_view piece) const {
    return options_.bytes ? whole_bytes_.find(piece) : vocabulary_.find(piece);
  }

  const Vocabulary& vocabulary_;
  BytePairOptions options_;
  PairTable pairs_;
  std::vector<int32_t> merged_;                            // by rank
  std::array<std::array<int32_t, 256>, 2> byte_tokens_{};  // of a byte within and at the end of a piece
  std::array<int32_t, 256> fallback_{};                    // <0x..>
  Vocabulary whole_bytes_;  // tokens as bytes, where whole pieces are looked up
  std::optional<Joinable> joinable_;
};

BytePairModel::BytePairModel(const Vocabulary& vocabulary, std::vector<MergeRule> merges,
                             BytePairOptions options)
    : vocabulary_(vocabulary), options_(std::move(options)), pairs_(merges.size()) {
  constexpr size_t kAhead = 16;  // merges whose places in memory are called for
  merged_.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const size_t later = std::min(i + kAhead, merges.size() - 1);
    pairs_.prefetch(merges[later].left, merges[later].right);
    const MergeRule& merge = merges[i];
    if (options_.first_merge_counts && pairs_.find(merge.left, merge.right) != PairTable::kNone) continue;
    pairs_.set(merge.left, merge.right, static_cast<uint32_t>(merged_.size()));
    merged_.push_back(merge.merged);
  }
  for (size_t byte = 0; byte < 256; ++byte)
    fallback_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
  if (options_.bytes) {
    prepare_bytes();
    if (options_.whole_words) prepare_whole_bytes();
  } else if (!options_.whole_words && options_.prefix.empty() && options_.suffix.empty()) {
    prepare_cuts(merges);
  }
}

void BytePairModel::prepare_bytes() {
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string token = token_of_bytes(std::string(1, static_cast<char>(byte)));
    byte_tokens_[0][byte] = vocabulary_.find(token);
    byte_tokens_[1][byte] = vocabulary_.find(token + options_.suffix);
  }
}

void BytePairModel::prepare_whole_bytes() {
  whole_bytes_.reserve(static_cast<size_t>(vocabulary_.count()), 0);
  for (int64_t id = 0; id < vocabulary_.size(); ++id) {
    const auto bytes = bytes_of_token(vocabulary_.token(id));
    if (bytes && !bytes->empty()) whole_bytes_.add(*bytes, id);
  }
}

void BytePairModel::prepare_cuts(const std::vector<MergeRule>& merges) {
  joinable_.emplace();
  for (const MergeRule& merge : merges) joinable_->add_token(vocabulary_.token(merge.merged));
  std::vector<bool> known(0x110000, false);
  for (int64_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view token = vocabulary_.token(id);
    if (!token.empty() && character_length(token.front()) == token.size())
      known[character_at(token.data()).value] = true;
  }
  joinable_->add_unknown(known);
}

void BytePairModel::encode_piece(std::string_view piece, Workspace& workspace, TokenList& out) const {
  if (options_.whole_words) {
    if (const int32_t id = find_whole(piece); id != Vocabulary::kNone) {
      out.ids.push_back(id);
      if (out.spans != nullptr) out.spans->push_back({0, static_cast<uint32_t>(piece.size())});
      return;
    }
  }
  if (!joinable_) return encode_part(piece, workspace, out);
  joinable_->cut(piece, [&](size_t begin, size_t end) {
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

void BytePairModel::encode_part(std::string_view part, Workspace& workspace, TokenList& out) const {
  std::vector<Symbol>& symbols = workspace.merge.symbols;
  symbols.clear();
  if (options_.bytes) {
    add_byte_symbols(part, symbols);
  } else {
    add_character_symbols(part, symbols);
  }
  merge_symbols(Oracle{*this}, static_cast<uint32_t>(merged_.size()), workspace.merge);
  uint32_t at = 0;  // a character that became nothing has no place in spans
  for (const Symbol& symbol : symbols) {
    out.ids.push_back(symbol.id);
    if (out.spans != nullptr) out.spans->push_back({at, at + symbol.end - symbol.begin});
    at += symbol.end - symbol.begin;
  }
}

void BytePairModel::add_byte_symbols(std::string_view part, std::vector<Symbol>& symbols) const {
  const auto size = static_cast<uint32_t>(part.size());
  symbols.resize(size);
  for (uint32_t i = 0; i < size; ++i)
    symbols[i] = {byte_tokens_[0][static_cast<unsigned char>(part[i])], i, i + 1};
  symbols.back().id = byte_tokens_[1][static_cast<unsigned char>(part.back())];
  const bool complete =
      std::all_of(symbols.begin(), symbols.end(), [](const Symbol& symbol) { return symbol.id >= 0; });
  if (complete) return;
  // Only a damaged vocabulary lacks bytes.
  std::vector<Symbol> known;
  std::optional<Symbol> pending;
  for (const Symbol& symbol : symbols) {
    if (symbol.id < 0) {
      add_unknown(symbol.begin, symbol.end, pending, known);
      continue;
    }
    if (pending) known.push_back(*std::exchange(pending, std::nullopt));
    known.push_back(symbol);
  }
  if (pending) known.push_back(*pending);
  symbols = std::move(known);
}

int32_t BytePairModel::find_character(std::string_view character, Place place) const {
  const bool prefixed = !place.first && !options_.prefix.empty();
  const bool suffixed = place.last && !options_.suffix.empty();
  if (!prefixed && !suffixed) return vocabulary_.find(character);
  return vocabulary_.find((prefixed ? options_.prefix : "") + std::string(character) +
                          (suffixed ? options_.suffix : ""));
}

bool BytePairModel::add_byte_fallback(std::string_view token, uint32_t begin,
                                      std::vector<Symbol>& symbols) const {
  const auto missing = [this](char byte) { return fallback_[static_cast<unsigned char>(byte)] < 0; };
  if (std::any_of(token.begin(), token.end(), missing)) return false;
  for (const char byte : token) {
    symbols.push_back({fallback_[static_cast<unsigned char>(byte)], begin, begin + 1});
    ++begin;
  }
  return true;
}

void BytePairModel::add_unknown(uint32_t begin, uint32_t end, std::optional<Symbol>& pending,
                                std::vector<Symbol>& symbols) const {
  if (options_.unknown < 0) {
    if (!options_.missing_unknown.empty()) {
      bad_input("a character without a token came up, and the unknown token \"{}\" is not in the vocabulary",
                options_.missing_unknown);
    }
    return;
  }
  if (pending && options_.fuse_unknown) {
    pending->end += end - begin;
    return;
  }
  if (pending) symbols.push_back(*pending);
  pending = Symbol{options_.unknown, begin, end};
}

void BytePairModel::add_character_symbols(std::string_view part, std::vector<Symbol>& symbols) const {
  std::optional<Symbol> pending;  // unknown characters so far; the next known one ends them
  for (size_t at = 0; at < part.size();) {
    const std::string_view character = part.substr(at, character_length(part[at]));
    const auto begin = static_cast<uint32_t>(at);
    const auto end = static_cast<uint32_t>(at + character.size());
    const Place place{at == 0, end == part.size()};
    at = end;
    if (const int32_t id = find_character(character, place); id != Vocabulary::kNone) {
      if (pending) symbols.push_back(*std::exchange(pending, std::nullopt));
      symbols.push_back({id, begin, end});
      continue;
    }
    if (options_.byte_fallback) {
      const std::string token =
          (place.first ? "" : options_.prefix) + std::string(character) + (place.last ? options_.suffix : "");
      if (add_byte_fallback(token, begin, symbols)) continue;
    }
    add_unknown(begin, end, pending, symbols);
  }
  if (pending) symbols.push_back(*pending);
}

}  // namespace

std::unique_ptr<Model> make_byte_pair_model(const Vocabulary& vocabulary, std::vector<MergeRule> merges,
                                            BytePairOptions options) {
  return std::make_unique<BytePairModel>(vocabulary, std::move(merges), std::move(options));
}

}  // namespace martlet::text

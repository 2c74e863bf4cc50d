#include "text/model.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace martlet::text {

std::span<const int32_t> WordCache::find(std::string_view word, uint64_t hash) const {
  if (entries_.empty()) return {};
  const Entry& entry = entries_[hash >> 40 & (kEntries - 1)];
  if (entry.length != word.size() || std::memcmp(entry.word.data(), word.data(), word.size()) != 0) return {};
  return std::span<const int32_t>(entry.tokens).first(entry.count);
}

void WordCache::keep(std::string_view word, uint64_t hash, std::span<const int32_t> tokens) {
  if (tokens.size() > kMostTokens || tokens.empty()) return;
  if (entries_.empty()) entries_.resize(kEntries);
  Entry& entry = entries_[hash >> 40 & (kEntries - 1)];
  entry.length = static_cast<uint8_t>(word.size());
  entry.count = static_cast<uint8_t>(tokens.size());
  std::copy(word.begin(), word.end(), entry.word.begin());
  std::copy(tokens.begin(), tokens.end(), entry.tokens.begin());
}

void Model::encode(std::string_view piece, Workspace& workspace, TokenList& out) const {
  if (piece.size() >= UINT32_MAX) {
    bad_input("a piece of text of {} bytes cannot be tokenized; it must be shorter than 4 GiB", piece.size());
  }
  if (caches_parts()) return encode_piece(piece, workspace, out);
  cached(piece, workspace, out, [&](std::string_view part) { encode_piece(part, workspace, out); });
}

}  // namespace martlet::text

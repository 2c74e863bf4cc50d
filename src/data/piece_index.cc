#include <algorithm>

#include "data/batches.h"

namespace martlet::data {
namespace {

// Of a document of some hundred bytes this keeps an eighth of a byte; finding a piece looks at 64 lengths at
// most.
constexpr int64_t kStride = 64;

}  // namespace

PieceIndex::PieceIndex(const TokenSet& tokens, int64_t longest, bool whole)
    : tokens_(tokens), longest_(longest), whole_(whole) {
  int64_t pieces = 0;
  for (int64_t document = 0; document < tokens.documents(); ++document) {
    if (document % kStride == 0) before_.push_back(pieces);
    pieces += pieces_of(document);
  }
  before_.push_back(pieces);
}

int64_t PieceIndex::pieces_of(int64_t document) const {
  const int64_t inputs = tokens_.length(document) - 1;
  if (inputs < 1) return 0;
  return whole_ ? 1 : (inputs + longest_ - 1) / longest_;
}

PieceIndex::Piece PieceIndex::piece(int64_t index) const {
  const auto after = std::upper_bound(before_.begin(), before_.end() - 1, index);
  const int64_t block = after - before_.begin() - 1;
  int64_t left = index - before_[static_cast<size_t>(block)];
  int64_t document = block * kStride;
  for (int64_t pieces; left >= (pieces = pieces_of(document)); ++document) left -= pieces;
  const int64_t begin = left * longest_;
  return {document, begin, std::min(begin + longest_, tokens_.length(document) - 1)};
}

}  // namespace martlet::data

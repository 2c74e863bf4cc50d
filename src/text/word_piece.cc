// WordPiece and the model of whole words.

#include <utility>

#include "base/error.h"
#include "text/byte_trie.h"
#include "text/model.h"
#include "text/unicode.h"

namespace martlet::text {

namespace {

void add(TokenList& out, int32_t id, size_t begin, size_t end) {
  out.ids.push_back(id);
  if (out.spans != nullptr) out.spans->push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
}

/// The unknown token for a whole piece; an error when the vocabulary has none.
void add_unknown(TokenList& out, const Vocabulary& vocabulary, const std::string& token,
                 std::string_view piece) {
  const int32_t id = vocabulary.find(token);
  if (id == Vocabulary::kNone) {
    bad_input("\"{}\" is no token and the unknown token \"{}\" is not in the vocabulary", piece, token);
  }
  add(out, id, 0, piece.size());
}

class WordPieceModel : public Model {
 public:
  WordPieceModel(const Vocabulary& vocabulary, WordPieceOptions options)
      : vocabulary_(vocabulary), options_(std::move(options)) {
    std::vector<std::pair<std::string_view, int32_t>> first, inner;
    for (int64_t id = 0; id < vocabulary.size(); ++id) {
      const std::string_view token = vocabulary.token(id);
      if (!token.empty()) first.emplace_back(token, static_cast<int32_t>(id));
      if (token.size() > options_.prefix.size() && token.starts_with(options_.prefix)) {
        inner.emplace_back(token.substr(options_.prefix.size()), static_cast<int32_t>(id));
      }
    }
    first_ = ByteTrie(std::move(first));
    inner_ = ByteTrie(std::move(inner));
  }

 protected:
  void encode_piece(std::string_view piece, Workspace&, TokenList& out) const override {
    if (piece.size() > static_cast<size_t>(options_.longest_word) &&
        count_characters(piece) > options_.longest_word) {
      return add_unknown(out, vocabulary_, options_.unknown_token, piece);
    }
    const size_t tokens = out.ids.size(), spans = out.spans == nullptr ? 0 : out.spans->size();
    for (size_t at = 0; at < piece.size();) {
      const auto [length, id] = (at == 0 ? first_ : inner_).longest(piece.substr(at));
      if (length == 0) {
        // One part without a token makes the whole word unknown.
        out.ids.resize(tokens);
        if (out.spans != nullptr) out.spans->resize(spans);
        return add_unknown(out, vocabulary_, options_.unknown_token, piece);
      }
      add(out, id, at, at + length);
      at += length;
    }
  }

 private:
  const Vocabulary& vocabulary_;
  WordPieceOptions options_;
  ByteTrie first_;  // tokens that begin a word
  ByteTrie inner_;  // tokens within a word, without their prefix
};

class WordLevelModel : public Model {
 public:
  WordLevelModel(const Vocabulary& vocabulary, std::string unknown_token)
      : vocabulary_(vocabulary), unknown_token_(std::move(unknown_token)) {}

 protected:
  void encode_piece(std::string_view piece, Workspace&, TokenList& out) const override {
    const int32_t id = vocabulary_.find(piece);
    if (id == Vocabulary::kNone) return add_unknown(out, vocabulary_, unknown_token_, piece);
    add(out, id, 0, piece.size());
  }

 private:
  const Vocabulary& vocabulary_;
  std::string unknown_token_;
};

}  // namespace

std::unique_ptr<Model> make_word_piece_model(const Vocabulary& vocabulary, WordPieceOptions options) {
  return std::make_unique<WordPieceModel>(vocabulary, std::move(options));
}

std::unique_ptr<Model> make_word_level_model(const Vocabulary& vocabulary, std::string unknown_token) {
  return std::make_unique<WordLevelModel>(vocabulary, std::move(unknown_token));
}

}  // namespace martlet::text

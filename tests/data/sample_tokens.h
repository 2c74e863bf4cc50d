#pragma once

// Documents and token sets for tests.

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/token_set.h"
#include "data/tokenise.h"

namespace martlet::data {

/// Yields given documents.
class GivenDocuments : public DocumentReader {
 public:
  explicit GivenDocuments(std::vector<Document> documents) : documents_(std::move(documents)) {}
  bool next(Document& document) override {
    if (next_ == documents_.size()) return false;
    document = documents_[next_++];
    return true;
  }

 private:
  std::vector<Document> documents_;
  size_t next_ = 0;
};

inline Document ids_document(std::vector<int32_t> ids) {
  Document document;
  document.form = Document::Form::kIds;
  document.ids = std::move(ids);
  document.where = "given";
  return document;
}

/// `count` documents of 2 to `longest` ids, all ids different throughout: id k is the k-th of all.
inline std::vector<Document> numbered_documents(uint64_t seed, int64_t count, int64_t longest) {
  const Philox philox(seed);
  std::vector<Document> documents;
  int32_t id = 0;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int32_t> ids(2 + philox.below(static_cast<uint64_t>(i), static_cast<uint64_t>(longest) - 1));
    for (int32_t& each : ids) each = id++;
    documents.push_back(ids_document(std::move(ids)));
  }
  return documents;
}

inline TokenSet token_set_of(const std::vector<Document>& documents, const std::string& folder,
                             int64_t shard_tokens = 1000) {
  GivenDocuments reader(documents);
  TokeniseOptions options;
  options.shard_tokens = shard_tokens;
  tokenise(reader, DocumentEncoder(EncodeRules{}), folder, options);
  return TokenSet::open(folder);
}

}  // namespace martlet::data

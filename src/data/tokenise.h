#pragma once

// Documents to a folder of token shards.

#include <cstdint>
#include <string>

#include "base/progress.h"
#include "data/encoder.h"
#include "data/source.h"

namespace martlet::data {

struct TokeniseOptions {
  bool drop_duplicates =
      false;  ///< keep the first of documents with equal content (32 bytes of memory a document)
  /// Share of the documents that goes to the folder `validation` inside: chosen by a hash of the content, so
  /// that a document is on the same side in every corpus, and equal documents are on one side.
  double validation = 0;
  int64_t shard_tokens = int64_t{1} << 24;  ///< a shard ends with the document that reaches this
};

struct TokeniseReport {
  int64_t documents = 0;      ///< written for training
  int64_t tokens = 0;         ///< of them
  int64_t learnt_tokens = 0;  ///< of them, those that the loss counts
  int64_t validation_documents = 0;
  int64_t validation_tokens = 0;
  int64_t duplicates = 0;  ///< left out
  int64_t too_short = 0;   ///< left out: less than two tokens
};

/// Reads everything, encodes on all threads, writes `folder` (made where it is missing). The files are the
/// same byte for byte whatever the threads. Memory: one shard and some megabytes of documents. A token set
/// that stood there is replaced; until the new one is whole there is none. Throws BadInput when nothing
/// remains to train on.
TokeniseReport tokenise(DocumentReader& reader, const DocumentEncoder& encoder, const std::string& folder,
                        const TokeniseOptions& options = {}, Progress& progress = no_progress());

}  // namespace martlet::data

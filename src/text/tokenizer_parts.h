#pragma once

// What a tokenizer is made of. Internal to the room: the two ways of reading one fill this, tokenizer.cc runs
// it.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/decoders.h"
#include "text/model.h"
#include "text/normalizers.h"
#include "text/post_processor.h"
#include "text/pre_tokenizers.h"
#include "text/vocabulary.h"

namespace martlet::text {

/// Workspaces that wait for the next encoding, so that each thread finds one with a warm cache.
class WorkspacePool {
 public:
  std::unique_ptr<Workspace> take();
  void give_back(std::unique_ptr<Workspace> workspace);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> waiting_;
};

struct SpecialIds {
  std::optional<int32_t> bos, eos, unk, pad;
};

struct TokenizerParts {
  Vocabulary vocabulary;  // of the model; added tokens need not be in it
  AddedTokens added;
  std::unique_ptr<Normalizer> normalizer;  // null: none
  PreTokenizerChain pre_tokenizers;
  std::unique_ptr<Model> model;
  PostProcessor post_processor;
  DecoderChain decoders;
  SpecialIds special;
  std::string chat_template;
  mutable WorkspacePool workspaces;

  int64_t size() const;
  /// The text of a token as decoders must see it; null when `id` has none.
  std::optional<std::string_view> token_for_decoding(int32_t id) const;
};

}  // namespace martlet::text

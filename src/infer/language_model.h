#pragma once

// A model with its tokenizer and chat format: what `run` and `chat` work with.

#include <optional>
#include <string>
#include <vector>

#include "infer/generate.h"
#include "models/open.h"
#include "text/tokenizer.h"

namespace martlet::infer {

class LanguageModel {
 public:
  /// Opens a Hugging Face directory or a GGUF file and applies its rewrites. Throws BadInput.
  static LanguageModel load(const std::string& path, const models::OpenOptions& options = {});

  nn::Model& tree() const { return *model_.tree; }
  const models::OpenModel& files() const { return model_; }
  /// To change how it runs.
  models::OpenModel& opened() { return model_; }
  /// Throws BadInput when the model came without a tokenizer.
  const text::Tokenizer& tokenizer() const;
  bool has_tokenizer() const { return tokenizer_.has_value(); }
  /// Tokens that end a reply: the end-of-text token and those that the generation config names.
  const std::vector<int32_t>& stop_ids() const { return stop_ids_; }

 private:
  models::OpenModel model_;
  std::optional<text::Tokenizer> tokenizer_;
  std::vector<int32_t> stop_ids_;
};

/// The tokenizer alone, of a directory or a GGUF file.
text::Tokenizer load_tokenizer(const std::string& path);

}  // namespace martlet::infer

#pragma once

#include <functional>
#include <optional>
#include <string>

#include "models/open.h"

namespace martlet::models {

struct SaveOptions {
  std::optional<DType> dtype =
      {};  ///< of all weights; unless given each keeps its own, packed ones become f32
  /// Packed matrices stay packed: the directory comes back without loss and without packing anew, and only
  /// this program reads it. Those that the family stores transposed become f32 all the same.
  bool keep_packed = false;
  /// Called before the first weight is made, with the bytes of memory that making the largest part of a
  /// tensor will take beside what the process holds; may throw.
  std::function<void(int64_t bytes)> before_writing = {};
};

/// Writes a model as a Hugging Face directory: config.json, the weights under Hugging Face's names
/// (safetensors; packed ones as f32, modules that rewrites made as the plain ones that come nearest), the
/// tokenizer's and other small files of the model it came from, and, where it was rewritten, martlet.toml and
/// rewrites.safetensors. The directory appears whole or not at all. Throws BadInput when `directory` is there
/// already and not empty.
void save_model(const OpenModel& model, const std::string& directory, const SaveOptions& options = {});

/// The same into a directory that is there, beside what it holds: each file whole or not at all, config.json,
/// without which the directory is no model, last.
void save_model_into(const OpenModel& model, const std::string& directory, const SaveOptions& options = {});

/// Gives a directory the tokenizer and chat template of another directory or of a GGUF file.
void copy_tokenizer(const std::string& from, const std::string& to);

}  // namespace martlet::models

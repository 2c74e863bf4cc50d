#pragma once

// What a path that names a model is, and which files of it there are.

#include <string>
#include <string_view>

#include "formats/tensor_source.h"

namespace martlet::formats {

enum class ModelKind { kDirectory, kGguf };

/// The files of a model; a path is empty where the file is absent. A GGUF file holds everything itself.
struct ModelFiles {
  ModelKind kind = ModelKind::kDirectory;
  std::string path;  ///< the directory or the GGUF file

  // Of a directory. `config` and the weights are always there.
  std::string config = {};             ///< config.json
  std::string generation_config = {};  ///< generation_config.json
  std::string tokenizer = {};          ///< tokenizer.json
  std::string tokenizer_config = {};   ///< tokenizer_config.json
  std::string chat_template = {};      ///< chat_template.jinja
  std::string rewrites = {};           ///< martlet.toml
};

/// Looks at names and first bytes only. Throws BadInput, saying what to do, for a path that is not there, an
/// empty or incomplete directory, weights in a form that is not read here (PyTorch, TensorFlow, ...), and a
/// git-lfs pointer in place of a file.
ModelFiles find_model_files(const std::string& path);

/// The weights, mapped.
TensorSource open_tensors(const ModelFiles& files);

}  // namespace martlet::formats

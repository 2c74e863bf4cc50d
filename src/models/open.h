#pragma once

#include <optional>
#include <string>

#include "formats/model_files.h"
#include "models/family.h"

namespace martlet::models {

/// A model on disk, opened: its tree with weights mapped, and what came with it.
struct OpenModel {
  std::shared_ptr<nn::Model> tree;
  const Family* family = nullptr;
  formats::ModelFiles files;
  Json config;                            ///< in Hugging Face's keys, from a GGUF file too
  std::optional<formats::GgufFile> gguf;  ///< when it is one
};

/// Opens a Hugging Face directory or a GGUF file. Throws BadInput.
OpenModel open_model(const std::string& path);

}  // namespace martlet::models

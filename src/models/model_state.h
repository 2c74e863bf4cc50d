#pragma once

#include <string>

#include "formats/gguf.h"
#include "formats/model_files.h"

namespace martlet::models {

/// A text that another one differs from when the model's files have changed: for every file with weights and
/// every one that says what they mean, its place, size and time, and a checksum of its first bytes and of
/// samples spread over it. `gguf`: the opened file when it is one. Reads a few hundred kilobytes.
std::string state_of_model(const formats::ModelFiles& files, const formats::GgufFile* gguf);

}  // namespace martlet::models

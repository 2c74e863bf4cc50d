#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace martlet::cli {

struct DrawnFileShape {
  int64_t hidden;
  int64_t intermediate;
  int64_t layers;
  int64_t heads;  ///< a third of them hold keys and values
  int64_t vocabulary = 97;
};

/// A GGUF file of a LLaMA with 256 positions and no tokenizer: q8_0 weights of drawn
/// codes.
void write_drawn_file(const std::string& path, const DrawnFileShape& shape);

/// The ids of every reply in what `run --json` printed.
std::vector<std::string> ids_of(const std::string& lines);

}  // namespace martlet::cli

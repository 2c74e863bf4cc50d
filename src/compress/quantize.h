#pragma once

#include "compress/importance.h"
#include "compress/recipe.h"
#include "models/save_gguf.h"
#include "nn/rewrite.h"

namespace martlet::compress {

/// The rewrite `quantize`: matrices of modules that match become packed ones of the recipe or format `to`.
extern const nn::Rewrite kQuantize;

/// A matrix in another format; `columns`, the importance of its columns, may be null. Rows are packed one by
/// one on all threads: the result does not depend on how many. Throws BadInput naming `path` for a number
/// that is not finite, and where the columns do not fill blocks or the format is only read.
ops::Weight packed(std::string_view path, const ops::Weight& weight, const ops::PackedFormat& format,
                   const std::vector<float>* columns);

/// What save_gguf needs to write a model by a recipe, each matrix packed when its turn comes. `importance`
/// may be null. Both must outlive the options.
models::GgufSaveOptions quantised(const models::OpenModel& model, const Recipe& recipe,
                                  const Importance* importance);

}  // namespace martlet::compress

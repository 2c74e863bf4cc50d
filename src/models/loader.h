#pragma once

#include "formats/tensor_source.h"
#include "models/family.h"

namespace martlet::models {

enum class FileForm { kHuggingFace, kGguf };

/// Gives every parameter of the tree its value from the source, mapped where the form allows. Throws BadInput
/// with all that is wrong in one message: names missing, names that belong to nothing, shapes that contradict
/// the config.
void load_weights(nn::Model& model, const Family& family, FileForm form, const formats::TensorSource& source);

}  // namespace martlet::models

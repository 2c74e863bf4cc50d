#pragma once

#include "formats/quantised.h"
#include "models/family.h"
#include "models/weight_cache.h"

namespace martlet::models {

enum class FileForm { kHuggingFace, kGguf };

/// Gives every parameter of the tree its value from the source, mapped where the form allows. Throws BadInput
/// with all that is wrong in one message: names missing, names that belong to nothing, shapes that contradict
/// the config, or a value that cannot be read. What `kept` has, interleaved, is taken from there, whatever
/// the source has. `only`: the path of the one matrix that gets a value, with those tied to it; empty: all
/// do.
void load_weights(nn::Model& model, const Family& family, FileForm form, const formats::TensorSource& source,
                  const KeptWeights& kept = {}, std::string_view only = {});
/// The same of a Hugging Face directory that another tool quantised. A linear layer whose columns were
/// reordered becomes one that reorders what it multiplies (nn/reordered_linear.h).
void load_weights(nn::Model& model, const Family& family, const formats::QuantisedTensors& quantised,
                  const KeptWeights& kept = {}, std::string_view only = {});

}  // namespace martlet::models

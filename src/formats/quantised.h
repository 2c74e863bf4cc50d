#pragma once

// Hugging Face directories whose weights other tools quantised: what their tensors mean, read as packed
// weights under the plain names, so that whoever loads a model sees matrices.

#include <map>
#include <set>

#include "base/json.h"
#include "formats/model_files.h"

namespace martlet::formats {

/// `quant_method` of directories that this program wrote with matrices packed: `formats` names the format of
/// each.
inline constexpr std::string_view kPackedMethod = "martlet";

/// A directory's tensors, the quantised ones as matrices [out, in] named NAME.weight.
struct QuantisedTensors {
  TensorSource tensors;
  std::set<std::string, std::less<>> matrices;  ///< names of those that were quantised
  /// Of matrices whose columns were sorted by their groups, by name: i32 [in]; what is stored as column j
  /// belongs to input order[j].
  std::map<std::string, Tensor, std::less<>> orders;
  /// Biases that hold zeros alone, which some tools write beside every matrix, model with biases or not.
  std::set<std::string, std::less<>> zero_biases;
};

/// The table `quantization_config` of a model's config.json, or what AutoGPTQ writes beside it in
/// quantize_config.json; null when there is neither.
Json quantisation_of(const ModelFiles& files, const Json& config);

/// Reads what `quantisation` describes: GPTQ (2, 3, 4, 8 bits; both versions of zero points; columns in the
/// order of activations), AWQ (gemm), compressed-tensors (integers: pack-quantized, int-quantized) and
/// bitsandbytes (8 bits), and what `save_model` keeps packed. Weights are repacked as ops/packed/grouped.h
/// says, each when somebody asks for it: until then of their parts only shapes and orders of columns are
/// looked at. Throws BadInput naming the module and what does not fit, and for any other method with those
/// supported.
QuantisedTensors open_quantised(const ModelFiles& files, const Json& quantisation);

/// The same for tensors that are open already; `where` is how errors name the table.
QuantisedTensors read_quantised(const TensorSource& stored, const Json& quantisation,
                                const std::string& where);

/// What reading makes of parts that are always the same, method by method: two programs with equal
/// fingerprints read such directories alike, whatever was changed in between. A quarter of a millisecond.
std::string quantised_fingerprint();

}  // namespace martlet::formats

#pragma once

// What a model family is: how its config builds a tree, and what its weights are called in each kind of file.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/fields.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "nn/roles.h"

namespace martlet::models {

/// What lies between a stored tensor and the tree's parameter.
enum class Stored : uint8_t {
  kAsIs,
  kTransposed,  ///< [in, out] instead of [out, in]
  /// Rows of a tensor that joins several parameters of a layer, one after another in the order of the
  /// family's lines: q, k and v; gate and up.
  kJoined,
  kTransposedJoined,  ///< both of the above
  kStacked,           ///< one of the matrices [experts, rows, columns] of a layer
  kInterleavedHeads,  ///< rows of each head in rotary pairs (0, half, 1, half + 1, ...) instead of halves
  kPlusOne,           ///< a norm's weight stored with its offset of 1 added
  kRow                ///< a matrix of one row, stored as such or as a vector
};

/// A parameter's path in the tree and its names in files; `{}` stands for the layer's number, a second one
/// for the expert's. An empty name: not in such files.
struct WeightName {
  std::string_view path;
  std::string_view hugging_face;
  std::string_view gguf;
  Stored hugging_face_form = Stored::kAsIs;
  Stored gguf_form = Stored::kAsIs;
};

/// What a GGUF file says of a model besides its weights.
struct GgufConfig {
  formats::GgufPairs pairs;
  /// What other keys say in config.json: divisors of rotary frequencies.
  std::vector<std::pair<std::string, Tensor>> tensors;
};

struct Family {
  std::string_view name;                    ///< `model_type` in config.json
  std::string_view gguf_architecture = {};  ///< `general.architecture`; empty when there is none
  /// Builds the tree, without values, from Hugging Face's keys. Throws BadInput naming the key.
  std::shared_ptr<nn::Model> (*build)(const Fields& config);
  /// A GGUF file's metadata as Hugging Face's keys; null where there is no such file form.
  Json (*config_from_gguf)(const formats::GgufFile& file) = nullptr;
  std::span<const WeightName> weights;
  /// Prefixes that some files leave out or write instead of `prefixes[0]`.
  std::span<const std::string_view> prefixes;
  /// Patterns (as in nn/tree.h) of stored names that are no parameters.
  std::span<const std::string_view> ignored = {};
  /// The class of transformers that reads such a directory.
  std::string_view transformers_class = {};
  /// The way back of `config_from_gguf`; null where such models cannot be written. Throws BadInput naming
  /// what the file form cannot say.
  void (*config_to_gguf)(const Fields& config, GgufConfig& to) = nullptr;
  /// The family as which GGUF files hold such a model, where that is another one.
  const Family* written_as = nullptr;
  /// Which of two families with one `gguf_architecture` it is: files of this one have an expert_count.
  bool has_experts = false;
};

/// Every family, in the order of the documentation.
std::span<const Family* const> families();
/// By `model_type`; throws BadInput listing those supported.
const Family& family_named(std::string_view model_type);
/// By `general.architecture` and whether it has experts; throws as above.
const Family& family_of_gguf(const formats::GgufMetadata& metadata);

}  // namespace martlet::models

#pragma once

// safetensors: eight bytes of header length, a JSON header, then the elements of all tensors without gaps.
// Read by mapping, written as a stream, in one file or in several with an index.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/tensor_source.h"

namespace martlet::formats {

using TextPairs = std::vector<std::pair<std::string, std::string>>;

/// The names that Hugging Face directories use.
inline constexpr std::string_view kSafetensorsFile = "model.safetensors";
inline constexpr std::string_view kSafetensorsIndex = "model.safetensors.index.json";

/// One file, mapped and checked: the header within the file and below 100 MB, known dtypes, shapes that agree
/// with their bytes, tensors that follow each other without gap or overlap to the very end. Throws BadInput
/// that begins with the path and says what was expected.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// "__metadata__", in the order of the file.
  const TextPairs& metadata() const { return metadata_; }

 private:
  std::vector<StoredTensor> tensors_;
  TextPairs metadata_;
};

/// A file, or a directory with model.safetensors or else model.safetensors.index.json and its shards. The
/// index must name plain files of the directory and exactly the tensors that they hold.
TensorSource open_safetensors(const std::string& path);

/// A tensor to be written. `load` is called once, when its turn comes, so that a model larger than memory can
/// be written; it must give the shape and dtype announced here, on any device. Or `in_parts` is, which gives
/// exactly the bytes of its elements, row-major, so that not even one tensor need be in memory as a whole.
struct OutgoingTensor {
  OutgoingTensor(std::string its_name, Tensor tensor);
  OutgoingTensor(std::string its_name, Shape its_shape, DType its_dtype, std::function<Tensor()> how)
      : name(std::move(its_name)), shape(its_shape), dtype(its_dtype), load(std::move(how)) {}
  OutgoingTensor(std::string its_name, Shape its_shape, DType its_dtype,
                 std::function<void(const TakeBytes& take)> how)
      : name(std::move(its_name)), shape(its_shape), dtype(its_dtype), in_parts(std::move(how)) {}

  std::string name;
  Shape shape;
  DType dtype;
  std::function<Tensor()> load;
  std::function<void(const TakeBytes& take)> in_parts;
};

/// Writes one file, whole or not at all. Tensors of wide elements come first, so that all are aligned; the
/// order is otherwise kept. "format": "pt", which other readers ask for, is added to `metadata` unless given.
void write_safetensors(const std::string& path, std::span<const OutgoingTensor> tensors,
                       const TextPairs& metadata = {});

/// What other tools put in one file at most.
inline constexpr int64_t kShardBytes = 5'000'000'000;

/// Writes model.safetensors into the directory or, past `shard_bytes`, model-00001-of-0000N.safetensors ...
/// and then their index; a file of the other form that would be read in their stead is removed at the end.
/// Returns the names of the files written.
std::vector<std::string> write_safetensors_directory(const std::string& directory,
                                                     std::span<const OutgoingTensor> tensors,
                                                     const TextPairs& metadata = {},
                                                     int64_t shard_bytes = kShardBytes);

}  // namespace martlet::formats

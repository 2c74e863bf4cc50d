#pragma once

// GGUF, versions 2 and 3, little-endian: magic, version, counts, metadata pairs, tensor descriptions, then
// the tensors' bytes. The file is mapped; nothing is copied and no element is touched while opening.

#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "formats/gguf_metadata.h"
#include "formats/tensor_source.h"

namespace martlet::formats {

/// One model: a file, or all parts of a split one (NAME-00001-of-00003.gguf ...) when any part is named.
/// Every count, length, kind and offset is checked before use; tensors lie within the data and do not
/// overlap. Throws BadInput that begins with the path. A small value; copies share the mapping.
class GgufFile {
 public:
  explicit GgufFile(const std::string& path);

  /// Of the (first) file. Its texts live as long as this or a copy.
  const GgufMetadata& metadata() const { return *metadata_; }
  /// Shapes are row-major: the file's first size is the last here.
  const TensorSource& tensors() const { return tensors_; }
  /// Of its files, in order.
  std::vector<std::string> paths() const;

 private:
  std::shared_ptr<const GgufMetadata> metadata_;
  TensorSource tensors_;
  std::vector<MappedFile> files_;
};

/// The tensors alone.
TensorSource open_gguf(const std::string& path);

}  // namespace martlet::formats

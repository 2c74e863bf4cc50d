#pragma once

// Writing GGUF, version 3: metadata pairs, tensor descriptions, then the tensors' bytes, each tensor made
// when its turn comes.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "formats/gguf_metadata.h"
#include "formats/gguf_types.h"
#include "formats/tensor_source.h"
#include "tensor/tensor.h"

namespace martlet::formats {

/// Metadata on its way to a file, in the order of the calls. A key that was added before throws kFailed.
class GgufPairs {
 public:
  GgufPairs& text(std::string_view key, std::string_view value);
  GgufPairs& boolean(std::string_view key, bool value);
  /// As u32, which readers of sizes and ids expect. Throws BadInput, naming the key, for what does not fit.
  GgufPairs& integer(std::string_view key, int64_t value);
  GgufPairs& real(std::string_view key, double value);  ///< as f32
  GgufPairs& texts(std::string_view key, std::span<const std::string_view> values);
  GgufPairs& reals(std::string_view key, std::span<const float> values);
  GgufPairs& integers(std::string_view key, std::span<const int32_t> values);  ///< as i32
  /// The pair as another file has it, byte for byte.
  GgufPairs& copy(std::string_view key, const GgufMetadata& from);

  bool has(std::string_view key) const;
  uint64_t count() const { return keys_.size(); }
  std::string_view bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, GgufKind kind);
  void begin_list(std::string_view key, GgufKind element, size_t count);

  std::vector<std::string> keys_;
  std::string bytes_;
};

/// A tensor to be written. `load` is called once, when its turn comes; it must give the shape and type
/// announced here: dense elements, or for a packed type the rows as u8 [rows, bytes of a row]. Or `in_parts`
/// is, where it is given: exactly the same bytes, so that not even one tensor need be in memory as a whole.
struct OutgoingGgufTensor {
  std::string name;
  Shape shape;  ///< row-major
  GgufTensorType type;
  std::function<Tensor()> load;
  std::function<void(const TakeBytes& take)> in_parts = {};

  int64_t byte_count() const;
};

/// Writes the file whole or not at all. Never holds more than one tensor, or one part of it.
void write_gguf(const std::string& path, const GgufPairs& metadata,
                std::span<const OutgoingGgufTensor> tensors, Progress& progress = no_progress());

}  // namespace martlet::formats

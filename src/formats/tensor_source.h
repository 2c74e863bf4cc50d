#pragma once

// The one interface that models load their weights from, whatever file holds them.

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/weight.h"
#include "tensor/tensor.h"

namespace martlet::formats {

/// Takes bytes of a tensor on its way to a file, one part behind another.
using TakeBytes = std::function<void(std::span<const std::byte> part)>;

/// A tensor as it lies in memory or in a mapped file: dense of `dtype`, or packed rows of `packed`.
struct StoredTensor {
  std::string name;
  Shape shape;                                 ///< row-major; the last size is the columns
  DType dtype = DType::kU8;                    ///< of the elements, when dense
  const ops::PackedFormat* packed = nullptr;   ///< null when dense
  std::shared_ptr<const std::byte> data = {};  ///< exactly byte_count() bytes, of any alignment
  /// Of a matrix that is made of other tensors when it is asked for: its values, of `shape`. What type they
  /// have shows only then, and `data` is null. Safe from many threads. May throw BadInput.
  std::function<ops::Weight()> make = {};

  /// "f32", "bf16", "q4_1"; not of what is made.
  std::string_view type_name() const { return packed ? packed->name : name_of(dtype); }
  /// Throws BadInput when the shape is negative or too large for 63 bits, or columns do not fill whole
  /// blocks.
  int64_t byte_count() const;
};

/// Named tensors of one model. A small value; copies share the table and the mapped files, which live as long
/// as the last source, tensor or weight that uses them. Reading it is safe from many threads.
class TensorSource {
 public:
  TensorSource() : TensorSource({}, "no tensors") {}
  /// `description` is how errors and people name it: "model.safetensors (272 tensors)". Throws BadInput when
  /// a name comes twice.
  TensorSource(std::vector<StoredTensor> tensors, std::string description);

  /// In the order of the file.
  const std::vector<std::string>& names() const;
  bool has(std::string_view name) const;
  /// What is stored, without touching its elements. Throws BadInput with the nearest known name when missing.
  const StoredTensor& info(std::string_view name) const;
  /// A matrix of parameters, without a copy where the alignment allows; packed stays packed. More than two
  /// dimensions [a, b, columns] read as a*b rows. Throws BadInput for a vector, and for integer elements.
  ops::Weight weight(std::string_view name) const;
  /// Dense, of the stored shape and dtype, without a copy where the alignment allows; packed is unpacked to
  /// f32.
  Tensor tensor(std::string_view name) const;
  /// The files and the number of tensors, in a line.
  const std::string& describe() const;

 private:
  struct Table;
  std::shared_ptr<const Table> table_;
};

}  // namespace martlet::formats

#include "formats/tensor_source.h"

#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/human.h"
#include "formats/names.h"

namespace martlet::formats {
namespace {

/// The bytes as a tensor: borrowed where aligned, else copied to memory of ours.
Tensor as_tensor(const StoredTensor& stored, const Shape& shape, DType dtype) {
  const auto address = reinterpret_cast<uintptr_t>(stored.data.get());
  if (address % static_cast<uintptr_t>(size_of(dtype)) == 0) return Tensor::borrow(stored.data, shape, dtype);
  const OwnerScope owner(Owner::kWeights);
  const auto bytes = static_cast<size_t>(shape.element_count() * size_of(dtype));
  return Tensor::copy_from({stored.data.get(), bytes}, shape, dtype);
}

/// All dimensions but the last taken together as rows.
ops::Weight as_matrix(const StoredTensor& stored) {
  if (stored.make) return stored.make();
  const Shape& shape = stored.shape;
  const int64_t columns = shape.rank() == 0 ? 1 : shape.dim(-1);
  int64_t rows = 1;
  for (int dim = 0; dim + 1 < shape.rank(); ++dim) rows *= shape[dim];
  if (!stored.packed) return ops::Weight(as_tensor(stored, {rows, columns}, stored.dtype));
  const int64_t row_bytes = stored.packed->row_bytes(columns);
  return ops::Weight(*stored.packed, as_tensor(stored, {rows, row_bytes}, DType::kU8), columns);
}

}  // namespace

int64_t StoredTensor::byte_count() const {
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(elements, size, &elements))
      bad_input("tensor {} has the impossible shape {}", in_quotes(name), shape.to_string());
  }
  const int64_t unit = packed ? packed->block_elements : 1;
  const int64_t columns = shape.rank() == 0 ? 1 : shape.dim(-1);
  if (columns % unit != 0)
    bad_input("tensor {} of shape {}: {} packs {} elements of a row at a time, which {} columns do not fill",
              in_quotes(name), shape.to_string(), type_name(), unit, columns);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / unit, packed ? packed->block_bytes : size_of(dtype), &bytes))
    bad_input("tensor {} of shape {} is larger than any file", in_quotes(name), shape.to_string());
  return bytes;
}

struct TensorSource::Table {
  std::vector<StoredTensor> tensors;
  std::vector<std::string> names;
  std::unordered_map<std::string_view, size_t> positions;  // views into `names`
  std::string description;
};

TensorSource::TensorSource(std::vector<StoredTensor> tensors, std::string description) {
  auto table = std::make_shared<Table>();
  table->tensors = std::move(tensors);
  table->description = std::move(description);
  table->names.reserve(table->tensors.size());
  table->positions.reserve(table->tensors.size());
  for (const StoredTensor& tensor : table->tensors) {
    table->names.push_back(tensor.name);
    if (!table->positions.emplace(table->names.back(), table->names.size() - 1).second)
      bad_input("{}: tensor {} comes twice", table->description, in_quotes(tensor.name));
  }
  table_ = std::move(table);
}

const std::vector<std::string>& TensorSource::names() const {
  return table_->names;
}

bool TensorSource::has(std::string_view name) const {
  return table_->positions.contains(name);
}

const StoredTensor& TensorSource::info(std::string_view name) const {
  const auto found = table_->positions.find(name);
  if (found != table_->positions.end()) return table_->tensors[found->second];
  const std::optional<std::string> nearest = nearest_name(name, table_->names);
  bad_input("{}: there is no tensor {}{}", table_->description, in_quotes(name),
            nearest ? "; the nearest name is " + in_quotes(*nearest) : "");
}

ops::Weight TensorSource::weight(std::string_view name) const {
  const StoredTensor& stored = info(name);
  const bool has_numbers = stored.make || stored.packed || is_floating(stored.dtype);
  if (stored.shape.rank() < 2 || !has_numbers)
    bad_input("{}: a matrix of numbers is needed for {}, got {}{}", table_->description, in_quotes(name),
              stored.type_name(), stored.shape.to_string());
  return as_matrix(stored);
}

Tensor TensorSource::tensor(std::string_view name) const {
  const StoredTensor& stored = info(name);
  if (!stored.packed && !stored.make) return as_tensor(stored, stored.shape, stored.dtype);
  const OwnerScope owner(Owner::kWeights);
  return as_matrix(stored).unpack().reshape(stored.shape);
}

const std::string& TensorSource::describe() const {
  return table_->description;
}

}  // namespace martlet::formats

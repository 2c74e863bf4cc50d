#include "formats/quantised_parts.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/mapped_parts.h"
#include "formats/names.h"
#include "ops/packed/grouped.h"

namespace martlet::formats {
namespace {

template <typename Stored>
Stored element(const StoredTensor& tensor, int64_t index) {
  Stored value;
  std::memcpy(&value, tensor.data.get() + index * static_cast<int64_t>(sizeof(Stored)), sizeof(Stored));
  return value;
}

float number_at(const StoredTensor& tensor, int64_t index) {
  switch (tensor.dtype) {
    case DType::kF32:
      return element<float>(tensor, index);
    case DType::kBF16:
      return to_float(element<BF16>(tensor, index));
    case DType::kF16:
      return to_float(element<F16>(tensor, index));
    default:
      bad_input("{} holds {}, expected numbers", in_quotes(tensor.name), tensor.type_name());
  }
}

int64_t integer_at(const StoredTensor& tensor, int64_t index) {
  switch (tensor.dtype) {
    case DType::kI8:
      return element<int8_t>(tensor, index);
    case DType::kU8:
      return element<uint8_t>(tensor, index);
    case DType::kI32:
      return element<int32_t>(tensor, index);
    case DType::kI64:
      return element<int64_t>(tensor, index);
    default:
      bad_input("{} holds {}, expected integers", in_quotes(tensor.name), tensor.type_name());
  }
}

template <int kBits>
void unpack_run_of(const uint32_t* words, uint8_t* codes) {
  for (int i = 0; i < kRunCodes; ++i) {
    const int word = i * kBits / 32, shift = i * kBits % 32;
    uint32_t code = words[word] >> shift;
    if (shift + kBits > 32) code |= words[word + 1] << (32 - shift);
    codes[i] = static_cast<uint8_t>(code & ((1u << kBits) - 1));
  }
}

/// As a tensor of a source: its bytes live as long as they are used.
StoredTensor stored_weight(std::string name, const ops::Weight& weight) {
  const auto storage = std::make_shared<const Tensor>(weight.storage());
  StoredTensor tensor{.name = std::move(name), .shape = weight.shape()};
  if (weight.is_packed())
    tensor.packed = &weight.format();
  else
    tensor.dtype = weight.dense().dtype();
  tensor.data = std::shared_ptr<const std::byte>(storage, storage->host_bytes());
  return tensor;
}

}  // namespace

std::vector<std::string> QuantisedParts::modules(std::string_view suffix) const {
  const std::string ending = fmt::format(".{}", suffix);
  std::vector<std::string> modules;
  for (const std::string& name : stored_.names())
    if (name.ends_with(ending)) modules.push_back(name.substr(0, name.size() - ending.size()));
  return modules;
}

const StoredTensor* QuantisedParts::find(const std::string& module, std::string_view suffix) {
  const std::string name = fmt::format("{}.{}", module, suffix);
  if (!stored_.has(name)) return nullptr;
  taken_.insert(name);
  return &stored_.info(name);
}

const StoredTensor& QuantisedParts::part(const std::string& module, std::string_view suffix, int rank,
                                         std::initializer_list<DType> types) {
  const StoredTensor* tensor = find(module, suffix);
  if (tensor == nullptr)
    bad_input("{} is missing beside its other parts", in_quotes(module + "." + std::string(suffix)));
  std::string names;
  for (const DType type : types) names += fmt::format("{}{}", names.empty() ? "" : " or ", name_of(type));
  const bool known =
      tensor->packed == nullptr && std::find(types.begin(), types.end(), tensor->dtype) != types.end();
  if (!known || tensor->shape.rank() != rank)
    bad_input("{} is {}{}, expected {} of {} dimensions", in_quotes(tensor->name), tensor->type_name(),
              tensor->shape.to_string(), names, rank);
  return *tensor;
}

void QuantisedParts::drop(std::string_view suffix) {
  for (const std::string& name : stored_.names())
    if (name.ends_with(suffix)) taken_.insert(name);
}

void QuantisedParts::note_zero_bias(const std::string& module) {
  const std::string name = module + ".bias";
  if (!stored_.has(name) || !is_floating(stored_.info(name).dtype)) return;
  const std::vector<float> values = numbers_of(stored_.info(name));
  if (std::all_of(values.begin(), values.end(), [](float value) { return value == 0; }))
    result_.zero_biases.insert(name);
}

void QuantisedParts::add(const std::string& module, const ops::GroupedMatrix& matrix) {
  const std::string name = module + ".weight";
  const OwnerScope owner(Owner::kWeights);
  result_.matrices.insert(name);
  made_.push_back(stored_weight(name, ops::pack_grouped(matrix)));
  forget_mapped_files();  // what it was made of is read no more
  if (!matrix.order.empty()) result_.orders.emplace(name, Tensor::from(matrix.order, {matrix.columns}));
}

void QuantisedParts::add_packed(const std::string& name, const ops::PackedFormat& format) {
  if (!stored_.has(name))
    bad_input("{} is to be packed as {}, and is not there", in_quotes(name), format.name);
  StoredTensor tensor = stored_.info(name);
  const int rank = tensor.shape.rank();
  if (tensor.dtype != DType::kU8 || rank < 2 || tensor.shape.dim(-1) % format.block_bytes != 0)
    bad_input("{} is {}{}, expected rows of u8 that blocks of {} bytes fill, as {} has", in_quotes(name),
              tensor.type_name(), tensor.shape.to_string(), format.block_bytes, format.name);
  if (!taken_.insert(name).second) bad_input("{} is named twice", in_quotes(name));
  tensor.shape[rank - 1] = tensor.shape.dim(-1) / format.block_bytes * format.block_elements;
  tensor.packed = &format;
  result_.matrices.insert(name);
  made_.push_back(std::move(tensor));
}

QuantisedTensors QuantisedParts::finish() {
  std::vector<StoredTensor> all;
  for (const std::string& name : stored_.names())
    if (!taken_.contains(name)) all.push_back(stored_.info(name));
  for (StoredTensor& tensor : made_) all.push_back(std::move(tensor));
  result_.tensors = TensorSource(std::move(all), stored_.describe());
  return std::move(result_);
}

void require_shape(const StoredTensor& tensor, const Shape& expected) {
  if (tensor.shape != expected)
    bad_input("{} has the shape {}, and the parts beside it and the config ask for {}",
              in_quotes(tensor.name), tensor.shape.to_string(), expected.to_string());
}

std::vector<float> numbers_of(const StoredTensor& tensor) {
  std::vector<float> numbers;
  const int64_t count = tensor.shape.element_count();
  for (int64_t i = 0; i < count; ++i) numbers.push_back(number_at(tensor, i));
  return numbers;
}

std::vector<int64_t> integers_of(const StoredTensor& tensor) {
  std::vector<int64_t> numbers;
  const int64_t count = tensor.shape.element_count();
  for (int64_t i = 0; i < count; ++i) numbers.push_back(integer_at(tensor, i));
  return numbers;
}

uint32_t word_of(const StoredTensor& tensor, int64_t index) {
  return element<uint32_t>(tensor, index);
}

void unpack_run(const uint32_t* words, int bits, uint8_t* codes) {
  switch (bits) {
    case 2:
      return unpack_run_of<2>(words, codes);
    case 3:
      return unpack_run_of<3>(words, codes);
    case 4:
      return unpack_run_of<4>(words, codes);
    default:
      return unpack_run_of<8>(words, codes);
  }
}

int64_t group_columns(int64_t group_size, int64_t columns) {
  if (columns <= 0) bad_input("the matrix is empty");
  if (group_size == -1) return columns;
  if (group_size <= 0) bad_input("group_size {} is neither -1, for whole rows, nor positive", group_size);
  if (columns % group_size != 0) bad_input("{} columns do not divide into groups of {}", columns, group_size);
  return group_size;
}

std::vector<int32_t> column_order(const std::vector<int64_t>& group_of_column, int64_t group) {
  const auto columns = static_cast<int64_t>(group_of_column.size());
  std::vector<int64_t> counts(static_cast<size_t>(columns / group));
  bool sorted = true;
  for (int64_t column = 0; column < columns; ++column) {
    const int64_t its = group_of_column[static_cast<size_t>(column)];
    if (its < 0 || its >= columns / group)
      bad_input("g_idx puts column {} into group {}, and there are {}", column, its, columns / group);
    ++counts[static_cast<size_t>(its)];
    sorted = sorted && its == column / group;
  }
  for (size_t i = 0; i < counts.size(); ++i)
    if (counts[i] != group)
      bad_input("g_idx puts {} columns into group {}, expected {}", counts[i], i, group);
  if (sorted) return {};
  std::vector<int32_t> order(static_cast<size_t>(columns));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return group_of_column[static_cast<size_t>(a)] < group_of_column[static_cast<size_t>(b)];
  });
  return order;
}

int supported_bits(const Fields& config, std::string_view key, std::initializer_list<int> supported) {
  const int64_t bits = config.integer(key);
  std::string known;
  for (const int each : supported) {
    if (each == bits) return each;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", each);
  }
  bad_input("{}: weights of {} bits are not supported; those that are have {}", config.source(), bits, known);
}

}  // namespace martlet::formats

#pragma once

// What the readers of quantised checkpoints share: parts of a module by name, checked; packed bits; the
// result.

#include <functional>
#include <initializer_list>

#include "base/fields.h"
#include "formats/quantised.h"
#include "ops/packed_format.h"

namespace martlet::ops {
struct GroupedMatrix;  // ops/packed/grouped.h, which is not installed
}

namespace martlet::formats {

class ReadPages;

/// Tensors of a checkpoint on their way to matrices. Whatever is not taken passes on as it is.
class QuantisedParts {
 public:
  explicit QuantisedParts(const TensorSource& stored);

  /// Modules that have a tensor MODULE.suffix.
  std::vector<std::string> modules(std::string_view suffix) const;
  /// MODULE.suffix, which is taken: it does not pass on. Null when there is none.
  const StoredTensor* find(const std::string& module, std::string_view suffix);
  /// The same; throws BadInput when there is none, or its rank or type is another.
  const StoredTensor& part(const std::string& module, std::string_view suffix, int rank,
                           std::initializer_list<DType> types);
  /// Takes every tensor whose name ends so.
  void drop(std::string_view suffix);
  /// Notes MODULE.bias when it holds zeros alone.
  void note_zero_bias(const std::string& module);
  /// MODULE.weight, made of the parts that were found since the last one when somebody asks for it:
  /// `read_groups` gives `matrix` its scales and zero points then, and may throw BadInput. `order` of the
  /// matrix is kept for whoever multiplies with it.
  void add(const std::string& module, ops::GroupedMatrix matrix,
           std::function<void(ops::GroupedMatrix& matrix)> read_groups);
  /// A matrix whose packed rows are stored as bytes, under its own name.
  void add_packed(const std::string& name, const ops::PackedFormat& format);
  QuantisedTensors finish();

 private:
  const TensorSource& stored_;
  std::shared_ptr<ReadPages> pages_;  // of all its files
  std::set<std::string, std::less<>> taken_;
  std::vector<StoredTensor> found_;  // since the last module was added
  std::vector<StoredTensor> made_;
  QuantisedTensors result_;
};

/// Throws BadInput naming the tensor with both shapes.
void require_shape(const StoredTensor& tensor, const Shape& expected);
/// Elements of f32, bf16 or f16.
std::vector<float> numbers_of(const StoredTensor& tensor);
/// Elements of i8, u8, i32 or i64.
std::vector<int64_t> integers_of(const StoredTensor& tensor);
/// Word `index` of an i32 tensor.
uint32_t word_of(const StoredTensor& tensor, int64_t index);
/// The number of `bits` bits that begins at bit `number * bits` of words lying one after another.
template <typename Word>
uint32_t bits_at(const Word& word, int bits, int64_t number) {
  const int64_t bit = number * bits;
  const auto shift = static_cast<int>(bit % 32);
  uint32_t value = word(bit / 32) >> shift;
  if (shift + bits > 32) value |= word(bit / 32 + 1) << (32 - shift);
  return value & ((1u << bits) - 1);
}

inline constexpr int64_t kRunCodes = 32;
/// The 32 codes of `bits` words, which is 2, 3, 4 or 8.
void unpack_run(const uint32_t* words, int bits, uint8_t* codes);

/// The columns of a group; `group_size` is -1 where one group is a whole row. Throws BadInput when groups do
/// not fill the columns.
int64_t group_columns(int64_t group_size, int64_t columns);
/// Columns sorted by their groups, as GroupedMatrix wants them; empty where they are sorted. Throws BadInput
/// for a group that is not there or does not have `group` columns.
std::vector<int32_t> column_order(const std::vector<int64_t>& group_of_column, int64_t group);
/// `bits` of the table; throws BadInput listing those supported.
int supported_bits(const Fields& config, std::string_view key, std::initializer_list<int> supported);

void read_gptq(const Fields& config, QuantisedParts& parts);
void read_awq(const Fields& config, QuantisedParts& parts);
void read_compressed_tensors(const Fields& config, QuantisedParts& parts);
void read_packed(const Fields& config, QuantisedParts& parts);
void read_bitsandbytes(const Fields& config, QuantisedParts& parts);

}  // namespace martlet::formats

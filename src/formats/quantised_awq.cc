// AWQ (Lin et al., "AWQ: Activation-aware Weight Quantization", 2023) in the packing called gemm. A matrix
// [out, in] lies transposed, eight codes of neighbouring outputs in a word:
//   qweight i32 [in, out / 8], qzeros i32 [groups, out / 8], scales [groups, out].
// Weight = scale * (code - zero). Nibble i of a word, from the lowest, is output 8 * word + kOrder[i].

#include <algorithm>

#include "base/error.h"
#include "formats/names.h"
#include "formats/quantised_parts.h"
#include "ops/packed/grouped.h"

namespace martlet::formats {
namespace {

constexpr int64_t kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
constexpr int64_t kCodes = 8;  // of a word

/// take(i, code) for the codes of a word, i counted from its first output.
template <typename Take>
void each_code(uint32_t word, const Take& take) {
  for (int64_t nibble = 0; nibble < kCodes; ++nibble)
    take(kOrder[nibble], static_cast<uint8_t>(word >> (4 * nibble) & 15));
}

/// Scales and zero points as GroupedMatrix has them, from tensors that lie by groups.
void read_groups(const StoredTensor& scales, const StoredTensor& zeros, ops::GroupedMatrix& matrix) {
  const int64_t groups = scales.shape[0], rows = scales.shape[1], row_words = zeros.shape[1];
  const std::vector<float> by_group = numbers_of(scales);
  matrix.scales.resize(by_group.size());
  matrix.zeros.resize(by_group.size());
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t row = 0; row < rows; ++row)
      matrix.scales[static_cast<size_t>(row * groups + group)] =
          by_group[static_cast<size_t>(group * rows + row)];
    for (int64_t word = 0; word < row_words; ++word)
      each_code(word_of(zeros, group * row_words + word), [&](int64_t i, uint8_t zero) {
        matrix.zeros[static_cast<size_t>((word * kCodes + i) * groups + group)] = zero;
      });
  }
}

void add_matrix(const std::string& module, int64_t group_size, QuantisedParts& parts) {
  const StoredTensor& words = parts.part(module, "qweight", 2, {DType::kI32});
  const int64_t columns = words.shape[0], row_words = words.shape[1], rows = row_words * kCodes;
  if (rows == 0) bad_input("the matrix is empty");
  ops::GroupedMatrix matrix{
      .rows = rows, .columns = columns, .group = group_columns(group_size, columns), .bits = 4};
  const int64_t groups = columns / matrix.group;
  const StoredTensor& zeros = parts.part(module, "qzeros", 2, {DType::kI32});
  const StoredTensor& scales = parts.part(module, "scales", 2, {DType::kF16, DType::kBF16, DType::kF32});
  require_shape(zeros, {groups, row_words});
  require_shape(scales, {groups, rows});
  static_assert(ops::kGroupedRows % kCodes == 0);
  matrix.read = [words, columns, row_words](int64_t begin, int64_t end, uint8_t* codes) {
    // A column of words at a time, which stands together then.
    std::vector<uint32_t> line(static_cast<size_t>(columns));
    for (int64_t word = begin / kCodes; word < end / kCodes; ++word) {
      for (int64_t column = 0; column < columns; ++column)
        line[static_cast<size_t>(column)] = word_of(words, column * row_words + word);
      for (int nibble = 0; nibble < kCodes; ++nibble) {
        uint8_t* to = codes + (word * kCodes + kOrder[nibble] - begin) * columns;
        for (const uint32_t each : line) *to++ = static_cast<uint8_t>(each >> (4 * nibble) & 15);
      }
    }
  };
  parts.add(module, std::move(matrix),
            [scales, zeros](ops::GroupedMatrix& whole) { read_groups(scales, zeros, whole); });
}

}  // namespace

void read_awq(const Fields& config, QuantisedParts& parts) {
  supported_bits(config, config.has("w_bit") ? "w_bit" : "bits", {4});
  const int64_t group_size = config.integer(config.has("q_group_size") ? "q_group_size" : "group_size");
  std::string version = config.text("version", "gemm");
  std::transform(version.begin(), version.end(), version.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (version != "gemm")
    bad_input("{}: AWQ's packing {} is not supported; gemm is", config.source(), in_quotes(version));
  for (const std::string& module : parts.modules("qweight")) {
    try {
      add_matrix(module, group_size, parts);
    } catch (Error& error) {
      throw error.within(in_quotes(module));
    }
    parts.note_zero_bias(module);
  }
}

}  // namespace martlet::formats

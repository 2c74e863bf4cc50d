// compressed-tensors, the form that LLM Compressor writes and vLLM reads. Of its kinds, those with integers:
//   pack-quantized: weight_packed i32 [out, in * bits / 32], codes of a row one after another, each signed
//   code
//     with 2^(bits - 1) added; weight_shape i64 [2]; weight_zero_point, where not symmetric, packed in the
//     same way down the rows, i32 [out * bits / 32, groups] (older files: i8 [out, groups]);
//   int-quantized: weight i8 [out, in]; weight_zero_point i8 [out, groups].
// weight_scale [out, groups], groups being 1 where a row has one scale; a single number where a tensor has.
// weight_g_idx i32 [in] where groups are not of neighbours. Weight = scale * (code - zero point).
// Scales for rounding activations, and of a cache of keys and values, are left aside: activations are rounded
// here as the rewrites of the model say.

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "formats/names.h"
#include "formats/quantised_parts.h"
#include "ops/packed/grouped.h"

namespace martlet::formats {
namespace {

constexpr std::string_view kFormats[] = {"pack-quantized", "int-quantized", "naive-quantized",
                                         "mixed-precision"};
constexpr std::string_view kLeftAside[] = {".input_scale",       ".input_zero_point", ".output_scale",
                                           ".output_zero_point", ".k_scale",          ".v_scale",
                                           ".k_zero_point",      ".v_zero_point"};

void check_kind(const Fields& config) {
  const std::string format = config.text("format", "pack-quantized");
  std::string known;
  for (const std::string_view each : kFormats) {
    if (each == format) return;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", each);
  }
  bad_input("{}: the format {} is not supported; those that are: {}", config.source(), in_quotes(format),
            known);
}

/// What turns the matrices themselves, or leaves elements of them out.
void refuse_what_changes_weights(const Fields& config) {
  const Json* sparsity = config.value("sparsity_config");
  const Json* kind = sparsity == nullptr ? nullptr : sparsity->find("format");
  if (kind != nullptr && kind->is_string() && kind->string() != "dense")
    bad_input("{}: sparse weights ({}) are not supported", config.source(), in_quotes(kind->string()));
  const Json* transforms = config.value("transform_config");
  if (transforms != nullptr && transforms->is_object() && !transforms->object().empty())
    bad_input("{}: a transform_config, which rotates weights and activations, is not supported",
              config.source());
}

/// Bits of every group of modules that rounds weights to integers.
std::vector<int> bits_of_groups(const Fields& config) {
  std::vector<int> all;
  const Json* groups = config.value("config_groups");
  if (groups == nullptr || !groups->is_object())
    bad_input("{}: config_groups, which says how many bits a weight has, is missing", config.source());
  for (const auto& [name, group] : groups->object()) {
    const Json* weights = group.find("weights");
    if (weights == nullptr || weights->is_null()) continue;
    const Fields fields(*weights, fmt::format("{} config_groups {}", config.source(), name));
    if (const std::string type = fields.text("type", "int"); type != "int")
      bad_input("{}: weights of the type {} are not supported; int is", fields.source(), in_quotes(type));
    all.push_back(supported_bits(fields, "num_bits", {2, 4, 8}));
  }
  return all;
}

int64_t words_for(int64_t codes, int bits) {
  return (codes * bits + 31) / 32;
}

/// The module's scales, which fit the matrix; sets `group`.
const StoredTensor& scales_of(const std::string& module, ops::GroupedMatrix& matrix, QuantisedParts& parts) {
  const StoredTensor* scale = parts.find(module, "weight_scale");
  if (scale == nullptr) bad_input("weight_scale is missing beside its other parts");
  const int64_t count = scale->shape.element_count();
  const int rank = scale->shape.rank();
  const bool is_one = count == 1;
  if (!is_one && (rank < 1 || rank > 2 || scale->shape[0] != matrix.rows || count == 0))
    bad_input("{} has the shape {}, expected [{}, groups]", in_quotes(scale->name), scale->shape.to_string(),
              matrix.rows);
  const int64_t groups = is_one || rank == 1 ? 1 : scale->shape[1];
  if (matrix.columns <= 0 || matrix.columns % groups != 0)
    bad_input("{} columns do not divide into {} groups, which {} has", matrix.columns, groups,
              in_quotes(scale->name));
  matrix.group = matrix.columns / groups;
  return *scale;
}

/// Whether zero points of unsigned codes lie packed, rather than signed and one a byte.
bool is_packed(const StoredTensor& zeros) {
  return zeros.dtype == DType::kI32 && zeros.packed == nullptr;
}

/// The module's zero points, which fit the matrix; nothing where none are stored.
std::optional<StoredTensor> zeros_of(const std::string& module, const ops::GroupedMatrix& matrix,
                                     QuantisedParts& parts) {
  const StoredTensor* zeros = parts.find(module, "weight_zero_point");
  if (zeros == nullptr) return std::nullopt;
  const int64_t groups = matrix.columns / matrix.group, count = zeros->shape.element_count();
  if (is_packed(*zeros))
    require_shape(*zeros, {words_for(matrix.rows, matrix.bits), groups});
  else if (count != 1 && count != matrix.rows * groups)
    bad_input("{} has the shape {}, expected [{}, {}]", in_quotes(zeros->name), zeros->shape.to_string(),
              matrix.rows, groups);
  return *zeros;
}

/// Scales [rows][groups], spread where fewer are stored.
void read_scales(const StoredTensor& scale, ops::GroupedMatrix& matrix) {
  matrix.scales = numbers_of(scale);
  if (matrix.scales.size() == 1) matrix.scales.resize(static_cast<size_t>(matrix.rows), matrix.scales[0]);
}

/// Zero points [rows][groups] of unsigned codes.
void read_zeros(const StoredTensor& stored, ops::GroupedMatrix& matrix) {
  const int middle = 1 << (matrix.bits - 1);
  const int64_t rows = matrix.rows, groups = matrix.columns / matrix.group;
  matrix.zeros.resize(static_cast<size_t>(rows * groups));
  if (is_packed(stored)) {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t group = 0; group < groups; ++group)
        matrix.zeros[static_cast<size_t>(row * groups + group)] = static_cast<uint8_t>(
            bits_at([&](int64_t word) { return word_of(stored, word * groups + group); }, matrix.bits, row));
    return;
  }
  const std::vector<int64_t> points = integers_of(stored);
  for (size_t i = 0; i < matrix.zeros.size(); ++i) {
    const int64_t point = points[points.size() == 1 ? 0 : i];
    if (point < -middle || point >= middle)
      bad_input("{} holds {}, which {} bits cannot", in_quotes(stored.name), point, matrix.bits);
    matrix.zeros[i] = static_cast<uint8_t>(point + middle);
  }
}

void read_order(const std::string& module, ops::GroupedMatrix& matrix, QuantisedParts& parts) {
  const StoredTensor* index = parts.find(module, "weight_g_idx");
  if (index == nullptr) return;
  require_shape(*index, {matrix.columns});
  const std::vector<int64_t> groups = integers_of(*index);
  if (groups.front() == -1) return;  // written where there is no order
  matrix.order = column_order(groups, matrix.group);
}

/// Adds a matrix whose rows, columns, bits and codes are known.
void add_matrix(const std::string& module, ops::GroupedMatrix matrix, QuantisedParts& parts) {
  const StoredTensor& scales = scales_of(module, matrix, parts);
  const std::optional<StoredTensor> zeros = zeros_of(module, matrix, parts);
  read_order(module, matrix, parts);
  parts.add(module, std::move(matrix), [scales, zeros](ops::GroupedMatrix& whole) {
    read_scales(scales, whole);
    if (zeros)
      read_zeros(*zeros, whole);
    else
      whole.zeros.assign(whole.scales.size(), static_cast<uint8_t>(1 << (whole.bits - 1)));
  });
}

void add_packed_matrix(const std::string& module, const std::vector<int>& known_bits, QuantisedParts& parts) {
  const StoredTensor& words = parts.part(module, "weight_packed", 2, {DType::kI32});
  const StoredTensor& shape = parts.part(module, "weight_shape", 1, {DType::kI64, DType::kI32});
  require_shape(shape, {2});
  const std::vector<int64_t> sizes = integers_of(shape);
  ops::GroupedMatrix matrix{.rows = words.shape[0], .columns = sizes[1]};
  const int64_t row_words = words.shape[1];
  // No column takes less than a bit, so that products below stay small.
  if (sizes[0] != matrix.rows || matrix.rows == 0 || sizes[1] <= 0 || sizes[1] / 32 > row_words)
    bad_input("weight_shape says [{}, {}], which {} of the shape {} does not hold", sizes[0], sizes[1],
              in_quotes(words.name), words.shape.to_string());
  for (const int bits : known_bits)
    if (words_for(matrix.columns, bits) == row_words) matrix.bits = bits;
  if (matrix.bits == 0)
    bad_input("{} has the shape {}, which {} columns of no number of bits of config_groups fill",
              in_quotes(words.name), words.shape.to_string(), matrix.columns);
  matrix.read = [words, row_words, columns = matrix.columns, bits = matrix.bits](int64_t begin, int64_t end,
                                                                                 uint8_t* codes) {
    for (int64_t row = begin; row < end; ++row, codes += columns)
      for (int64_t column = 0, word = 0; column < columns; column += kRunCodes, word += bits) {
        uint32_t its[8] = {};
        for (int64_t i = 0; i < std::min<int64_t>(bits, row_words - word); ++i)
          its[i] = word_of(words, row * row_words + word + i);
        uint8_t run[kRunCodes];
        unpack_run(its, bits, run);
        std::copy_n(run, std::min(kRunCodes, columns - column), codes + column);
      }
  };
  add_matrix(module, std::move(matrix), parts);
}

void add_byte_matrix(const std::string& module, QuantisedParts& parts) {
  const StoredTensor& weight = parts.part(module, "weight", 2, {DType::kI8});
  ops::GroupedMatrix matrix{.rows = weight.shape[0], .columns = weight.shape[1], .bits = 8};
  if (matrix.rows == 0) bad_input("the matrix is empty");
  matrix.read = [weight, columns = matrix.columns](int64_t begin, int64_t end, uint8_t* codes) {
    const std::byte* from = weight.data.get() + begin * columns;
    for (int64_t i = 0; i < (end - begin) * columns; ++i)
      codes[i] = std::to_integer<uint8_t>(from[i] ^ std::byte{128});
  };
  add_matrix(module, std::move(matrix), parts);
}

}  // namespace

void read_compressed_tensors(const Fields& config, QuantisedParts& parts) {
  check_kind(config);
  refuse_what_changes_weights(config);
  const std::vector<int> bits = bits_of_groups(config);
  for (const std::string_view suffix : kLeftAside) parts.drop(suffix);
  const auto named = [&](const std::string& module, const auto& add) {
    try {
      add();
    } catch (Error& error) {
      throw error.within(in_quotes(module));
    }
  };
  const std::vector<std::string> packed = parts.modules("weight_packed");
  for (const std::string& module : packed) named(module, [&] { add_packed_matrix(module, bits, parts); });
  for (const std::string& module : parts.modules("weight_scale"))
    if (std::find(packed.begin(), packed.end(), module) == packed.end())
      named(module, [&] { add_byte_matrix(module, parts); });
}

}  // namespace martlet::formats

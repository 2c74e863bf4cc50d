// GPTQ (Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
// 2022) as AutoGPTQ and GPTQModel write it. A matrix [out, in] lies transposed, `bits` bits a code:
//   qweight i32 [in * bits / 32, out]: of every output, the codes of its inputs one after another;
//   qzeros  i32 [groups, out * bits / 32]: zero points of all outputs, one after another;
//   scales  [groups, out];  g_idx i32 [in]: the group of every input (may be absent: in / group_size).
// Weight = scale * (code - zero). The first version of the form stores zero - 1, modulo 2^bits; gptq_v2
// stores zero. With desc_act groups are made in the order of activations, so that g_idx is not sorted.

#include "base/error.h"
#include "formats/names.h"
#include "formats/quantised_parts.h"
#include "ops/packed/grouped.h"

namespace martlet::formats {
namespace {

bool stores_zero_less_one(const Fields& config) {
  const std::string format = config.text("checkpoint_format", config.text("format", "gptq"));
  if (format == "gptq") return true;
  if (format == "gptq_v2") return false;
  bad_input("{}: checkpoint_format {} is not supported; those that are: gptq, gptq_v2", config.source(),
            in_quotes(format));
}

struct GptqForm {
  int bits;
  int64_t group_size;
  bool zero_less_one;
};

/// Scales and zero points as GroupedMatrix has them, from tensors that lie by groups.
void read_groups(const StoredTensor& scales, const StoredTensor& zeros, bool zero_less_one,
                 ops::GroupedMatrix& matrix) {
  const int64_t groups = scales.shape[0], rows = scales.shape[1], zero_words = zeros.shape[1];
  const std::vector<float> by_group = numbers_of(scales);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t group = 0; group < groups; ++group) {
      const auto word = [&](int64_t i) { return word_of(zeros, group * zero_words + i); };
      const uint32_t zero = bits_at(word, matrix.bits, row) + (zero_less_one ? 1 : 0);
      matrix.zeros.push_back(static_cast<uint8_t>(zero & ((1u << matrix.bits) - 1)));
      matrix.scales.push_back(by_group[static_cast<size_t>(group * rows + row)]);
    }
}

void add_matrix(const std::string& module, const GptqForm& form, QuantisedParts& parts) {
  const StoredTensor& words = parts.part(module, "qweight", 2, {DType::kI32});
  const int bits = form.bits;
  ops::GroupedMatrix matrix{
      .rows = words.shape[1], .columns = words.shape[0] / bits * kRunCodes, .bits = bits};
  if (words.shape[0] % bits != 0 || matrix.rows == 0 || matrix.rows * bits % 32 != 0)
    bad_input("{} has the shape {}, which {} bits a code do not fill", in_quotes(words.name),
              words.shape.to_string(), bits);
  matrix.group = group_columns(form.group_size, matrix.columns);
  const int64_t groups = matrix.columns / matrix.group, rows = matrix.rows;
  const StoredTensor& zeros = parts.part(module, "qzeros", 2, {DType::kI32});
  const StoredTensor& scales = parts.part(module, "scales", 2, {DType::kF16, DType::kBF16, DType::kF32});
  require_shape(zeros, {groups, rows * bits / 32});
  require_shape(scales, {groups, rows});
  if (const StoredTensor* index = parts.find(module, "g_idx")) {
    require_shape(*index, {matrix.columns});
    matrix.order = column_order(integers_of(*index), matrix.group);
  }
  matrix.read = [words, rows, columns = matrix.columns, bits](int64_t begin, int64_t end, uint8_t* codes) {
    for (int64_t run = 0; run < columns / kRunCodes; ++run)
      for (int64_t row = begin; row < end; ++row) {
        uint32_t its[8];
        for (int64_t i = 0; i < bits; ++i) its[i] = word_of(words, (run * bits + i) * rows + row);
        unpack_run(its, bits, codes + (row - begin) * columns + run * kRunCodes);
      }
  };
  parts.add(module, std::move(matrix),
            [scales, zeros, less_one = form.zero_less_one](ops::GroupedMatrix& whole) {
              read_groups(scales, zeros, less_one, whole);
            });
}

}  // namespace

void read_gptq(const Fields& config, QuantisedParts& parts) {
  const GptqForm form{supported_bits(config, "bits", {2, 3, 4, 8}), config.integer("group_size"),
                      stores_zero_less_one(config)};
  for (const std::string& module : parts.modules("qweight")) {
    try {
      add_matrix(module, form, parts);
    } catch (Error& error) {
      throw error.within(in_quotes(module));
    }
    parts.note_zero_bias(module);
  }
}

}  // namespace martlet::formats

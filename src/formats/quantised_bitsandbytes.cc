// bitsandbytes' 8-bit checkpoints (Dettmers et al., "LLM.int8()", 2022): weight i8 [out, in], SCB f32 [out],
// the greatest magnitude of every row. Weight = code * SCB / 127.

#include "base/error.h"
#include "formats/names.h"
#include "formats/quantised_parts.h"
#include "ops/packed/grouped.h"

namespace martlet::formats {
namespace {

void add_matrix(const std::string& module, QuantisedParts& parts) {
  const StoredTensor& weight = parts.part(module, "weight", 2, {DType::kI8});
  const StoredTensor& greatest = parts.part(module, "SCB", 1, {DType::kF32, DType::kF16, DType::kBF16});
  ops::GroupedMatrix matrix{.rows = weight.shape[0], .columns = weight.shape[1], .bits = 8};
  require_shape(greatest, {matrix.rows});
  matrix.group = group_columns(-1, matrix.columns);
  if (matrix.rows == 0) bad_input("the matrix is empty");
  if (const StoredTensor* form = parts.find(module, "weight_format"))
    for (const int64_t number : integers_of(*form))
      if (number != 0)
        bad_input("{} is {}: rows laid out for a graphics processor; save the model with the layout \"row\"",
                  in_quotes(form->name), number);
  matrix.read = [weight, columns = matrix.columns](int64_t begin, int64_t end, uint8_t* codes) {
    const std::byte* from = weight.data.get() + begin * columns;
    for (int64_t i = 0; i < (end - begin) * columns; ++i)
      codes[i] = std::to_integer<uint8_t>(from[i] ^ std::byte{128});
  };
  parts.add(module, std::move(matrix), [greatest](ops::GroupedMatrix& whole) {
    for (const float most : numbers_of(greatest)) whole.scales.push_back(most / 127);
    whole.zeros.assign(whole.scales.size(), 128);
  });
}

}  // namespace

void read_bitsandbytes(const Fields& config, QuantisedParts& parts) {
  if (!config.boolean("load_in_8bit", false))
    bad_input("{}: of bitsandbytes only 8-bit weights (load_in_8bit) are supported", config.source());
  for (const std::string& module : parts.modules("SCB")) {
    try {
      add_matrix(module, parts);
    } catch (Error& error) {
      throw error.within(in_quotes(module));
    }
  }
}

}  // namespace martlet::formats

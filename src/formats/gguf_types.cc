#include "formats/gguf_types.h"

#include <string_view>

#include "base/error.h"

namespace martlet::formats {
namespace {

struct Row {
  uint32_t number;
  std::string_view name;
};

// Dense types by the dtype they are, packed ones by the name of their format.
struct DenseRow {
  uint32_t number;
  DType dtype;
};
constexpr DenseRow kDense[] = {{0, DType::kF32}, {1, DType::kF16},  {30, DType::kBF16},
                               {24, DType::kI8}, {26, DType::kI32}, {27, DType::kI64}};
constexpr Row kPacked[] = {{2, "q4_0"},  {3, "q4_1"},  {6, "q5_0"},    {7, "q5_1"},
                           {8, "q8_0"},  {10, "q2_k"}, {11, "q3_k"},   {12, "q4_k"},
                           {13, "q5_k"}, {14, "q6_k"}, {20, "iq4_nl"}, {23, "iq4_xs"}};
// Known by name only, so that an error can say which type a file has.
constexpr Row kUnsupported[] = {
    {4, "q4_2"},     {5, "q4_3"},   {9, "q8_1"},   {15, "q8_k"},  {16, "iq2_xxs"}, {17, "iq2_xs"},
    {18, "iq3_xxs"}, {19, "iq1_s"}, {21, "iq3_s"}, {22, "iq2_s"}, {25, "i16"},     {28, "f64"},
    {29, "iq1_m"},   {34, "tq1_0"}, {35, "tq2_0"}, {39, "mxfp4"}, {40, "nvfp4"}};

std::string supported_names() {
  std::string names;
  for (const DenseRow& row : kDense)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name_of(row.dtype));
  for (const Row& row : kPacked) names += fmt::format(", {}", row.name);
  return names;
}

}  // namespace

GgufTensorType gguf_tensor_type(uint32_t number) {
  for (const DenseRow& row : kDense)
    if (row.number == number) return {.dtype = row.dtype};
  for (const Row& row : kPacked)
    if (const ops::PackedFormat* format = row.number == number ? ops::find_packed_format(row.name) : nullptr)
      return {.packed = format};
  std::string_view name = "unknown to this program";
  for (const Row& row : kUnsupported)
    if (row.number == number) name = row.name;
  bad_input("tensor type {} ({}) is not supported; those supported are {}", number, name, supported_names());
}

uint32_t gguf_type_number(const GgufTensorType& type) {
  if (type.packed == nullptr) {
    for (const DenseRow& row : kDense)
      if (row.dtype == type.dtype) return row.number;
    bad_input("GGUF has no type for {}; those supported are {}", name_of(type.dtype), supported_names());
  }
  for (const Row& row : kPacked)
    if (row.name == type.packed->name) return row.number;
  bad_input("GGUF has no type for {}; those supported are {}", type.packed->name, supported_names());
}

}  // namespace martlet::formats

// What the readers of quantised checkpoints make of parts that are always the same.

#include <fmt/format.h>
#include <vector>

#include "base/checksum.h"
#include "base/sequential_scope.h"
#include "formats/quantised.h"
#include "formats/stored_tensor.h"

namespace martlet::formats {
namespace {

// Two groups of columns; rows read at once (64) and half as many more.
constexpr int64_t kIn = 64, kOut = 96, kGroup = 32, kGroups = kIn / kGroup;

StoredTensor bytes(std::string name, const Shape& shape, DType dtype) {
  const Tensor tensor = Tensor::empty(shape, dtype);
  std::byte* to = tensor.mutable_host_bytes();
  for (int64_t i = 0; i < tensor.byte_count(); ++i) to[i] = static_cast<std::byte>(i * 89 + i / 256);
  return stored_tensor(std::move(name), tensor);
}

StoredTensor scales(std::string name, const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(1 + i % 61) / 64;
  return stored_tensor(std::move(name), Tensor::from(values, shape));
}

Json table(std::string_view method, int64_t bits) {
  return Json().set("quant_method", method).set("bits", bits).set("group_size", kGroup);
}

uint32_t checksum_of(const Json& config, std::vector<StoredTensor> parts) {
  const QuantisedTensors read =
      read_quantised(TensorSource(std::move(parts), "fixed parts"), config, "a fixed table");
  const Tensor values = read.tensors.weight("m.weight").storage();
  return checksum({values.host_bytes(), static_cast<size_t>(values.byte_count())});
}

uint32_t gptq(int64_t bits) {
  return checksum_of(table("gptq", bits), {bytes("m.qweight", {kIn * bits / 32, kOut}, DType::kI32),
                                           bytes("m.qzeros", {kGroups, kOut * bits / 32}, DType::kI32),
                                           scales("m.scales", {kGroups, kOut})});
}

uint32_t awq() {
  return checksum_of(table("awq", 4), {bytes("m.qweight", {kIn, kOut / 8}, DType::kI32),
                                       bytes("m.qzeros", {kGroups, kOut / 8}, DType::kI32),
                                       scales("m.scales", {kGroups, kOut})});
}

uint32_t compressed(std::string_view format, std::vector<StoredTensor> parts) {
  const int64_t bits = format == "pack-quantized" ? 4 : 8;
  Json group;
  group.set("weights", Json().set("num_bits", bits));
  const Json config = table("compressed-tensors", bits)
                          .set("format", format)
                          .set("config_groups", Json().set("group_0", std::move(group)));
  parts.push_back(scales("m.weight_scale", {kOut, kGroups}));
  return checksum_of(config, std::move(parts));
}

uint32_t compressed_words() {
  return compressed("pack-quantized",
                    {bytes("m.weight_packed", {kOut, kIn / 8}, DType::kI32),
                     stored_tensor("m.weight_shape", Tensor::from(std::vector<int64_t>{kOut, kIn}, {2})),
                     bytes("m.weight_zero_point", {kOut / 8, kGroups}, DType::kI32)});
}

uint32_t compressed_bytes() {
  return compressed("int-quantized", {bytes("m.weight", {kOut, kIn}, DType::kI8),
                                      bytes("m.weight_zero_point", {kOut, kGroups}, DType::kI8)});
}

uint32_t bitsandbytes() {
  return checksum_of(table("bitsandbytes", 8).set("load_in_8bit", true),
                     {bytes("m.weight", {kOut, kIn}, DType::kI8), scales("m.SCB", {kOut})});
}

}  // namespace

std::string quantised_fingerprint() {
  const SequentialScope alone;  // no thread is worth waking
  std::string text;
  for (const int64_t bits : {2, 3, 4, 8}) text += fmt::format("gptq-{}:{:08x} ", bits, gptq(bits));
  return text + fmt::format("awq:{:08x} compressed-4:{:08x} compressed-8:{:08x} bitsandbytes:{:08x}", awq(),
                            compressed_words(), compressed_bytes(), bitsandbytes());
}

}  // namespace martlet::formats

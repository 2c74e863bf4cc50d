// Parts of quantised checkpoints: what their values mean, and each lie by name.
#include "formats/quantised.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/random.h"
#include "formats/stored_tensor.h"

namespace martlet::formats {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <typename T>
Tensor drawn(const Shape& shape, uint64_t seed, uint64_t bound) {
  const Philox random(seed, 9);
  std::vector<T> values;
  for (int64_t i = 0; i < shape.element_count(); ++i)
    values.push_back(static_cast<T>(random.bits(static_cast<uint64_t>(i)) % bound));
  return Tensor::from(values, shape);
}

Tensor words(const Shape& shape, uint64_t seed) {
  return drawn<int32_t>(shape, seed, uint64_t{1} << 32);
}

/// Multiples of 1/64, which every float type holds.
Tensor scales(const Shape& shape, uint64_t seed) {
  const Philox random(seed, 10);
  std::vector<float> values;
  for (int64_t i = 0; i < shape.element_count(); ++i)
    values.push_back(static_cast<float>(1 + random.bits(static_cast<uint64_t>(i)) % 63) / 64);
  return Tensor::from(values, shape);
}

uint32_t code(const std::vector<int32_t>& line, int bits, int64_t number) {
  uint32_t value = 0;
  for (int bit = 0; bit < bits; ++bit) {
    const int64_t at = number * bits + bit;
    value |= (static_cast<uint32_t>(line[static_cast<size_t>(at / 32)]) >> (at % 32) & 1) << bit;
  }
  return value;
}

/// A GPTQ module of 64 outputs and 96 inputs.
struct Gptq {
  int bits = 4;
  int64_t group = 32;
  Json config;
  std::vector<StoredTensor> parts;

  explicit Gptq(int its_bits = 4, int64_t its_group = 32) : bits(its_bits), group(its_group) {
    const int64_t groups = group == -1 ? 1 : 96 / group;
    config.set("quant_method", "gptq").set("bits", bits).set("group_size", group);
    parts = {stored_tensor("m.qweight", words({96 * bits / 32, 64}, 1)),
             stored_tensor("m.qzeros", words({groups, 64 * bits / 32}, 2)),
             stored_tensor("m.scales", scales({groups, 64}, 3)),
             stored_tensor("m.g_idx", Tensor::from(trivial(), {96}))};
  }
  std::vector<int32_t> trivial() const {
    std::vector<int32_t> index;
    for (int32_t i = 0; i < 96; ++i) index.push_back(group == -1 ? 0 : i / static_cast<int32_t>(group));
    return index;
  }
  void put(size_t part, const Tensor& tensor) { parts[part] = stored_tensor(parts[part].name, tensor); }
  QuantisedTensors read() const { return read_quantised(TensorSource(parts, "file"), config, "config.json"); }
  std::string refusal() const {
    try {
      read();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
      return error.what();
    }
    return "it was read";
  }
};

std::vector<std::vector<int32_t>> lines_of(const Tensor& tensor) {
  std::vector<std::vector<int32_t>> lines;
  for (int64_t i = 0; i < tensor.dim(0); ++i)
    lines.push_back(tensor.select(0, i).contiguous().to_vector<int32_t>());
  return lines;
}

void expect_values(const Gptq& module, bool zero_less_one) {
  const auto tensor = [&](size_t part) {
    const StoredTensor& it = module.parts[part];
    return Tensor::copy_from({it.data.get(), static_cast<size_t>(it.byte_count())}, it.shape, it.dtype);
  };
  const auto columns = lines_of(tensor(0).transpose(0, 1).contiguous());  // of every output
  const auto zeros = lines_of(tensor(1));
  const std::vector<float> scale = tensor(2).to_vector<float>();
  const std::vector<int32_t> group = tensor(3).to_vector<int32_t>();
  const QuantisedTensors read = module.read();
  ASSERT_EQ(read.tensors.names(), std::vector<std::string>{"m.weight"});
  const std::vector<float> got = read.tensors.tensor("m.weight").to_vector<float>();
  std::vector<int32_t> order = module.trivial();
  for (int32_t i = 0; i < 96; ++i) order[static_cast<size_t>(i)] = i;
  if (const auto found = read.orders.find("m.weight"); found != read.orders.end())
    order = found->second.to_vector<int32_t>();
  const int mask = (1 << module.bits) - 1;
  for (int64_t out = 0; out < 64; ++out)
    for (int64_t j = 0; j < 96; ++j) {
      const int32_t in = order[static_cast<size_t>(j)];
      const auto its = static_cast<size_t>(group[static_cast<size_t>(in)]);
      const int zero = static_cast<int>(code(zeros[its], module.bits, out)) + (zero_less_one ? 1 : 0);
      const int q = static_cast<int>(code(columns[static_cast<size_t>(out)], module.bits, in));
      const float expected =
          scale[its * 64 + static_cast<size_t>(out)] * static_cast<float>(q - (zero & mask));
      ASSERT_EQ(got[static_cast<size_t>(out * 96 + j)], expected) << out << " " << j;
    }
}

TEST(Quantised, GptqMeansScaleTimesCodeLessZeroForEveryNumberOfBitsAndGroup) {
  for (const int bits : {2, 3, 4, 8})
    for (const int64_t group : {int64_t{16}, int64_t{32}, int64_t{96}, int64_t{-1}}) {
      SCOPED_TRACE(fmt::format("{} bits, groups of {}", bits, group));
      Gptq module(bits, group);
      expect_values(module, true);
      module.config.set("checkpoint_format", "gptq_v2");
      expect_values(module, false);
    }
}

TEST(Quantised, ColumnsInTheOrderOfActivationsAreSortedByGroup) {
  Gptq module;
  std::vector<int32_t> index = module.trivial();
  const Philox random(7, 1);
  for (size_t i = index.size(); i-- > 1;) std::swap(index[i], index[random.bits(i) % (i + 1)]);
  module.put(3, Tensor::from(index, {96}));
  EXPECT_EQ(module.read().orders.count("m.weight"), 1u);
  EXPECT_EQ(module.read().tensors.weight("m.weight").format().name, "int4_zero");
  expect_values(module, true);
}

TEST(Quantised, AZeroPointInTheMiddleGivesTheFormatsThatHaveItThere) {
  Gptq four, eight(8);
  four.put(1, Tensor::from(std::vector<int32_t>(24, 0x77777777), {3, 8}));
  eight.put(1, Tensor::from(std::vector<int32_t>(48, 0x7f7f7f7f), {3, 16}));
  EXPECT_EQ(four.read().tensors.weight("m.weight").format().name, "q4_0");
  EXPECT_EQ(eight.read().tensors.weight("m.weight").format().name, "q8_0");
  expect_values(four, true);
  expect_values(eight, true);
}

TEST(Quantised, OtherTensorsPassOnAndBiasesOfZerosAreTold) {
  Gptq module;
  module.parts.push_back(stored_tensor("norm.weight", scales({5}, 4)));
  module.parts.push_back(stored_tensor("m.bias", Tensor::zeros({64}, DType::kF32)));
  const QuantisedTensors read = module.read();
  EXPECT_TRUE(read.tensors.has("norm.weight"));
  EXPECT_TRUE(read.tensors.has("m.bias"));
  EXPECT_EQ(read.zero_biases.count("m.bias"), 1u);
  module.put(5, scales({64}, 5));
  EXPECT_TRUE(module.read().zero_biases.empty());
}

TEST(Quantised, WhatDoesNotFitIsNamed) {
  Gptq missing;
  missing.parts.erase(missing.parts.begin() + 2);
  EXPECT_THAT(missing.refusal(), HasSubstr("'m.scales' is missing"));
  Gptq rows;
  rows.put(2, scales({3, 63}, 1));
  EXPECT_THAT(rows.refusal(), AllOf(HasSubstr("'m.scales' has the shape [3, 63]"), HasSubstr("[3, 64]")));
  Gptq zeros;
  zeros.put(1, words({2, 8}, 1));
  EXPECT_THAT(zeros.refusal(), HasSubstr("'m.qzeros' has the shape [2, 8]"));
  Gptq codes;
  codes.put(0, words({13, 64}, 1));
  EXPECT_THAT(codes.refusal(),
              HasSubstr("'m.qweight' has the shape [13, 64], which 4 bits a code do not fill"));
  Gptq kind;
  kind.put(0, scales({12, 64}, 1));
  EXPECT_THAT(kind.refusal(), HasSubstr("'m.qweight' is f32[12, 64], expected i32 of 2 dimensions"));
  Gptq uneven;
  uneven.config.set("group_size", 40);
  EXPECT_THAT(uneven.refusal(), HasSubstr("96 columns do not divide into groups of 40"));
  Gptq none;
  none.config.set("group_size", 0);
  EXPECT_THAT(none.refusal(), HasSubstr("group_size 0"));
  Gptq beyond;
  beyond.put(3, Tensor::from(std::vector<int32_t>(96, 3), {96}));
  EXPECT_THAT(beyond.refusal(), HasSubstr("g_idx puts column 0 into group 3, and there are 3"));
  Gptq crowded;
  crowded.put(3, Tensor::from(std::vector<int32_t>(96, 1), {96}));
  EXPECT_THAT(crowded.refusal(), HasSubstr("g_idx puts 0 columns into group 0, expected 32"));
  Gptq shorter;
  shorter.put(3, Tensor::from(std::vector<int32_t>(95, 1), {95}));
  EXPECT_THAT(shorter.refusal(), HasSubstr("'m.g_idx' has the shape [95]"));
}

TEST(Quantised, ValuesAreReadWhenTheMatrixIsAskedFor) {
  Gptq infinite;
  infinite.put(2, Tensor::from(std::vector<float>(192, 1e30f), {3, 64}));
  const QuantisedTensors read = infinite.read();
  EXPECT_EQ(read.tensors.info("m.weight").shape, (Shape{64, 96}));
  for (int again = 0; again < 2; ++again) {
    try {
      read.tensors.weight("m.weight");
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("'m': a scale is 1e+30"));
    }
  }
}

TEST(Quantised, AMatrixIsMadeOnceForAllThatShareIt) {
  const QuantisedTensors read = Gptq().read();
  const ops::Weight first = read.tensors.weight("m.weight"), second = read.tensors.weight("m.weight");
  EXPECT_EQ(first.storage().host_bytes(), second.storage().host_bytes());
}

TEST(Quantised, WhatIsNotSupportedIsNamedWithWhatIs) {
  Gptq method;
  method.config.set("quant_method", "quip");
  EXPECT_THAT(method.refusal(),
              AllOf(HasSubstr("'quip'"), HasSubstr("gptq, awq, compressed-tensors, bitsandbytes")));
  Gptq bits;
  bits.config.set("bits", 6);
  EXPECT_THAT(bits.refusal(), AllOf(HasSubstr("6 bits"), HasSubstr("2, 3, 4, 8")));
  Gptq format;
  format.config.set("checkpoint_format", "marlin");
  EXPECT_THAT(format.refusal(), HasSubstr("gptq, gptq_v2"));
  Gptq awq;
  awq.config.set("quant_method", "awq").set("version", "gemv");
  EXPECT_THAT(awq.refusal(), AllOf(HasSubstr("'gemv'"), HasSubstr("gemm is")));
  Gptq bytes;
  bytes.config.set("quant_method", "bitsandbytes");
  EXPECT_THAT(bytes.refusal(), HasSubstr("load_in_8bit"));
}

TEST(Quantised, RowsThatStayPackedAreMappedAsTheyLie) {
  Json config, names;
  names.set("a.weight", "q8_0");
  config.set("quant_method", "martlet").set("formats", names);
  const Tensor bytes = drawn<uint8_t>({5, 68}, 1, 0x70);
  const auto read = [&](const Json& table, const Tensor& tensor) {
    return read_quantised(TensorSource({stored_tensor("a.weight", tensor)}, "file"), table, "config.json");
  };
  const QuantisedTensors packed = read(config, bytes);
  EXPECT_EQ(packed.tensors.info("a.weight").shape, (Shape{5, 64}));
  EXPECT_EQ(packed.tensors.info("a.weight").packed->name, "q8_0");
  const auto refusal = [&](const Json& table, const Tensor& tensor) -> std::string {
    try {
      read(table, tensor);
    } catch (const Error& error) {
      return error.what();
    }
    return "it was read";
  };
  EXPECT_THAT(refusal(config, drawn<uint8_t>({5, 67}, 1, 9)), HasSubstr("'a.weight' is u8[5, 67]"));
  EXPECT_THAT(refusal(config, scales({5, 68}, 1)), HasSubstr("'a.weight' is f32[5, 68]"));
  config.set("formats", Json().set("b.weight", "q8_0"));
  EXPECT_THAT(refusal(config, bytes), HasSubstr("'b.weight' is to be packed as q8_0, and is not there"));
  config.set("formats", Json().set("a.weight", "q9"));
  EXPECT_THAT(refusal(config, bytes), AllOf(HasSubstr("'q9'"), HasSubstr("int4_zero")));
}

/// A compressed-tensors module of 40 outputs and 64 inputs, four bits.
std::string refusal_of_compressed(const Json& changes, std::vector<StoredTensor> parts) {
  Json weights;
  weights.set("num_bits", 4).set("type", "int");
  Json group;
  group.set("weights", weights);
  Json groups;
  groups.set("group_0", group);
  Json config;
  config.set("quant_method", "compressed-tensors")
      .set("format", "pack-quantized")
      .set("config_groups", groups);
  for (const auto& [key, value] : changes.object()) config.set(key, value);
  try {
    read_quantised(TensorSource(std::move(parts), "file"), config, "config.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "it was read";
}

TEST(Quantised, LiesOfCompressedTensorsAreNamed) {
  const auto parts = [](std::vector<int64_t> shape, const Tensor& scale) {
    return std::vector{stored_tensor("m.weight_packed", words({40, 8}, 1)),
                       stored_tensor("m.weight_shape", Tensor::from(shape, {2})),
                       stored_tensor("m.weight_scale", scale)};
  };
  const Json none{Json::Object{}};
  EXPECT_EQ(refusal_of_compressed(none, parts({40, 64}, scales({40, 2}, 1))), "it was read");
  EXPECT_THAT(refusal_of_compressed(none, parts({40, 96}, scales({40, 2}, 1))), HasSubstr("fill"));
  EXPECT_THAT(refusal_of_compressed(none, parts({int64_t{1} << 40, 64}, scales({40, 2}, 1))),
              HasSubstr("weight_shape says"));
  EXPECT_THAT(refusal_of_compressed(none, parts({40, int64_t{1} << 62}, scales({40, 2}, 1))),
              HasSubstr("weight_shape says"));
  EXPECT_THAT(refusal_of_compressed(none, parts({40, 64}, scales({40, 3}, 1))),
              HasSubstr("64 columns do not divide into 3 groups"));
  EXPECT_THAT(refusal_of_compressed(none, parts({40, 64}, scales({20, 2}, 1))),
              HasSubstr("'m.weight_scale' has the shape [20, 2]"));
  Json changes;
  changes.set("format", "float-quantized");
  EXPECT_THAT(refusal_of_compressed(changes, {}),
              AllOf(HasSubstr("'float-quantized'"), HasSubstr("int-quantized")));
  changes.set("format", "pack-quantized").set("sparsity_config", Json().set("format", "sparse-24-bitmask"));
  EXPECT_THAT(refusal_of_compressed(changes, {}), HasSubstr("sparse"));
}

}  // namespace
}  // namespace martlet::formats

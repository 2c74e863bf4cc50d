#include "formats/gguf.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "formats/gguf_builder.h"
#include "formats/testing.h"

namespace martlet::formats {
namespace {

struct TypeRow {
  uint32_t number;
  std::string_view name;
};
constexpr TypeRow kPackedTypes[] = {{2, "q4_0"},  {3, "q4_1"},  {6, "q5_0"},    {7, "q5_1"},
                                    {8, "q8_0"},  {10, "q2_k"}, {11, "q3_k"},   {12, "q4_k"},
                                    {13, "q5_k"}, {14, "q6_k"}, {20, "iq4_nl"}, {23, "iq4_xs"}};
constexpr std::pair<uint32_t, DType> kDenseTypes[] = {{0, DType::kF32}, {1, DType::kF16},  {30, DType::kBF16},
                                                      {24, DType::kI8}, {26, DType::kI32}, {27, DType::kI64}};

std::string data_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.host_bytes()), static_cast<size_t>(tensor.byte_count())};
}

TEST(Gguf, EveryKindOfMetadataComesBack) {
  const TemporaryDirectory directory;
  GgufBuilder builder;
  builder.add_number("u8", GgufKind::kU8, uint8_t{200})
      .add_number("i8", GgufKind::kI8, int8_t{-100})
      .add_number("u16", GgufKind::kU16, uint16_t{60000})
      .add_number("i16", GgufKind::kI16, int16_t{-30000})
      .add_number("u32", GgufKind::kU32, uint32_t{4000000000})
      .add_number("i32", GgufKind::kI32, int32_t{-2000000000})
      .add_number("u64", GgufKind::kU64, uint64_t{1} << 62)
      .add_number("huge", GgufKind::kU64, UINT64_MAX)
      .add_number("i64", GgufKind::kI64, INT64_MIN)
      .add_number("f32", GgufKind::kF32, 1.5f)
      .add_number("f64", GgufKind::kF64, -2.25)
      .add_number("yes", GgufKind::kBool, uint8_t{1})
      .add_number("maybe", GgufKind::kBool, uint8_t{2})
      .add_text("text", std::string_view("a\0\xffz", 4))
      .add("texts", GgufKind::kList,
           gguf_list(GgufKind::kText, 3, gguf_text("") + gguf_text("x") + gguf_text("Ġword")))
      .add("scores", GgufKind::kList, gguf_list(GgufKind::kF32, 2, bytes_of(0.5f) + bytes_of(-1.0f)))
      .add("types", GgufKind::kList,
           gguf_list(GgufKind::kI32, 2, bytes_of(int32_t{3}) + bytes_of(int32_t{-6})))
      .add("flags", GgufKind::kList, gguf_list(GgufKind::kBool, 3, std::string_view("\1\0\1", 3)))
      .add("nested", GgufKind::kList,
           gguf_list(GgufKind::kList, 2,
                     gguf_list(GgufKind::kU8, 2, "ab") + gguf_list(GgufKind::kText, 1, gguf_text("q"))))
      .add("none", GgufKind::kList, gguf_list(GgufKind::kText, 0, ""))
      .add_text("last", "after the nested list");
  for (const uint32_t version : {2u, 3u}) {
    builder.version = version;
    const GgufFile file(directory.put("m.gguf", builder.build()));
    const GgufMetadata& data = file.metadata();
    EXPECT_EQ(data.integer("u8"), 200);
    EXPECT_EQ(data.integer("i8"), -100);
    EXPECT_EQ(data.integer("u16"), 60000);
    EXPECT_EQ(data.integer("i16"), -30000);
    EXPECT_EQ(data.integer("u32"), 4000000000);
    EXPECT_EQ(data.integer("i32"), -2000000000);
    EXPECT_EQ(data.integer("u64"), int64_t{1} << 62);
    EXPECT_EQ(data.integer("i64"), INT64_MIN);
    EXPECT_EQ(data.integer("absent", 7), 7);
    EXPECT_EQ(data.real("f32"), 1.5);
    EXPECT_EQ(data.real("f64"), -2.25);
    EXPECT_EQ(data.real("u8"), 200.0);
    EXPECT_EQ(data.real("absent", 0.5), 0.5);
    EXPECT_TRUE(data.boolean("yes"));
    EXPECT_TRUE(data.boolean("absent", true));
    EXPECT_EQ(data.text("text"), std::string_view("a\0\xffz", 4));
    EXPECT_EQ(data.text("absent", "so"), "so");
    EXPECT_EQ(data.texts("texts"), (std::vector<std::string_view>{"", "x", "Ġword"}));
    EXPECT_EQ(data.reals("scores"), (std::vector<double>{0.5, -1.0}));
    EXPECT_EQ(data.reals("types"), (std::vector<double>{3, -6}));
    EXPECT_EQ(data.integers("types"), (std::vector<int64_t>{3, -6}));
    EXPECT_EQ(data.integers("flags"), (std::vector<int64_t>{1, 0, 1}));
    EXPECT_EQ(data.integers("u8"), (std::vector<int64_t>{200}));
    EXPECT_TRUE(data.texts("none").empty());
    EXPECT_EQ(data.text("last"), "after the nested list");
    EXPECT_EQ(data.keys().size(), 21u);
    EXPECT_EQ(data.keys()[0], "u8");
    EXPECT_EQ(data.kind("nested"), "list of list (2)");
    EXPECT_EQ(data.kind("f64"), "f64");

    expect_bad_input([&] { data.integer("huge"); }, "'huge' must be an integer of 63 bits, got u64");
    expect_bad_input([&] { data.integer("f32"); }, "got f32");
    expect_bad_input([&] { data.integer("texts"); }, "got list of text (3)");
    expect_bad_input([&] { data.text("u8", "fallback is for missing keys"); }, "must be a text, got u8");
    expect_bad_input([&] { data.boolean("maybe"); }, "'maybe'");
    expect_bad_input([&] { data.boolean("u8"); }, "'u8'");
    expect_bad_input([&] { data.texts("scores"); }, "list of texts");
    expect_bad_input([&] { data.integers("scores"); }, "list of integers");
    expect_bad_input([&] { data.integers("nested"); }, "list of list");
    expect_bad_input([&] { data.text("absent"); }, "no key 'absent'");
    expect_bad_input([&] { static_cast<void>(data.kind("absent")); }, "no key 'absent'");
  }
}

TEST(Gguf, DenseTensorsOfEveryTypeComeBackInRowOrder) {
  const TemporaryDirectory directory;
  std::vector<std::pair<std::string, Tensor>> expected;
  for (const auto& [number, dtype] : kDenseTypes)
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{2, 3, 4}, Shape{0, 3}})
      expected.emplace_back(fmt::format("{}{}", name_of(dtype), shape.to_string()),
                            random_tensor(shape, dtype, expected.size()));
  for (const uint64_t alignment : {32u, 1u, 64u, 4096u}) {
    GgufBuilder aligned;
    aligned.alignment = alignment;
    aligned.add_number("general.alignment", GgufKind::kU32, static_cast<uint32_t>(alignment));
    for (const auto& [name, tensor] : expected) {
      std::vector<uint64_t> sizes(tensor.shape().begin(), tensor.shape().end());
      std::reverse(sizes.begin(), sizes.end());
      const auto type = std::find_if(std::begin(kDenseTypes), std::end(kDenseTypes),
                                     [&](const auto& row) { return row.second == tensor.dtype(); });
      aligned.add_tensor(name, sizes, type->first, data_of(tensor));
    }
    const TensorSource source = open_gguf(directory.put("m.gguf", aligned.build()));
    ASSERT_EQ(source.names().size(), expected.size());
    for (const auto& [name, tensor] : expected) expect_same_bits(source.tensor(name), tensor, name);
  }
}

TEST(Gguf, PackedTensorsStayPackedAndUnpackAsTheirFormatSays) {
  const TemporaryDirectory directory;
  GgufBuilder builder;
  for (const TypeRow& type : kPackedTypes) {
    const ops::PackedFormat* format = ops::find_packed_format(type.name);
    ASSERT_NE(format, nullptr) << type.name;
    const auto bytes = static_cast<size_t>(format->row_bytes(512)) * 3;
    builder.add_tensor(type.name, {512, 3}, type.number, random_bytes(bytes, type.number));
  }
  const TensorSource source = open_gguf(directory.put("m.gguf", builder.build()));
  for (const TypeRow& type : kPackedTypes) {
    const ops::PackedFormat* format = ops::find_packed_format(type.name);
    const std::string bytes = random_bytes(static_cast<size_t>(format->row_bytes(512)) * 3, type.number);
    EXPECT_EQ(source.info(type.name).type_name(), type.name);
    const ops::Weight weight = source.weight(type.name);
    EXPECT_EQ(weight.type_name(), type.name);
    EXPECT_EQ(weight.shape(), (Shape{3, 512}));
    EXPECT_EQ(weight.storage().host_bytes(), source.info(type.name).data.get()) << "no copy";
    Tensor expected = Tensor::empty({3, 512}, DType::kF32);
    format->unpack(reinterpret_cast<const std::byte*>(bytes.data()), 3 * 512 / format->block_elements,
                   expected.mutable_data<float>());
    expect_same_bits(source.tensor(type.name), expected, type.name);
  }
}

TEST(Gguf, TensorsOutliveTheFileThatTheyCameFrom) {
  const TemporaryDirectory directory;
  const Tensor expected = random_tensor({4, 4}, DType::kF32, 1);
  Tensor tensor;
  const auto metadata = [&] {
    GgufBuilder builder;
    builder.add_text("general.name", "small").add_tensor("w", {4, 4}, 0, data_of(expected));
    const GgufFile file(directory.put("m.gguf", builder.build()));
    tensor = file.tensors().tensor("w");
    return file;
  }();
  EXPECT_EQ(metadata.metadata().text("general.name"), "small");
  expect_same_bits(tensor, expected, "w");
}

class GgufSplit : public ::testing::Test {
 protected:
  std::string part(uint16_t number, uint16_t count, int32_t tensors, std::string_view tensor) const {
    GgufBuilder builder;
    if (number == 0) builder.add_text("general.architecture", "llama");
    builder.add_number("split.no", GgufKind::kU16, number)
        .add_number("split.count", GgufKind::kU16, count)
        .add_number("split.tensors.count", GgufKind::kI32, tensors)
        .add_tensor(tensor, {2}, 0, bytes_of(1.0f * number) + bytes_of(2.0f));
    return builder.build();
  }
  std::string name(int number, int count) const {
    return fmt::format("m-{:05}-of-{:05}.gguf", number, count);
  }

  TemporaryDirectory directory;
};

TEST_F(GgufSplit, PartsOpenTogetherWhicheverIsNamed) {
  for (int i = 0; i < 3; ++i)
    directory.put(name(i + 1, 3), part(static_cast<uint16_t>(i), 3, 3, fmt::format("t{}", i)));
  for (int i = 1; i <= 3; ++i) {
    const GgufFile file(directory / name(i, 3));
    EXPECT_EQ(file.metadata().text("general.architecture"), "llama");
    EXPECT_EQ(file.tensors().names(), (std::vector<std::string>{"t0", "t1", "t2"}));
    EXPECT_EQ(file.tensors().tensor("t2").to_vector<float>(), (std::vector<float>{2.0f, 2.0f}));
  }
}

TEST_F(GgufSplit, ContradictionsAreRefused) {
  const auto opened = [&] { GgufFile(directory / name(1, 2)); };
  directory.put(name(1, 2), part(0, 2, 2, "a"));
  expect_bad_input(opened, "part 2 of 2 is missing");
  directory.put(name(2, 2), part(0, 2, 2, "b"));
  expect_bad_input(opened, "its metadata says part 1 of 2, its name part 2 of 2");
  directory.put(name(2, 2), part(1, 3, 2, "b"));
  expect_bad_input(opened, "its metadata says part 2 of 3");
  directory.put(name(2, 2), part(1, 2, 2, "a"));
  expect_bad_input(opened, "'a' comes twice");
  directory.put(name(2, 2), part(1, 2, 2, "b").substr(0, 60));
  expect_bad_input(opened, directory / name(2, 2));
  directory.put(name(2, 2), part(1, 2, 2, "b"));
  opened();
  directory.put(name(1, 2), part(0, 2, 5, "a"));
  expect_bad_input(opened, "promises 5");
  directory.put("alone.gguf", part(0, 2, 2, "a"));
  expect_bad_input([&] { GgufFile(directory / "alone.gguf"); }, "NAME-00001-of-00002.gguf");
}

}  // namespace
}  // namespace martlet::formats

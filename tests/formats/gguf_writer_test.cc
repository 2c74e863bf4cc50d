#include "formats/gguf_writer.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "formats/gguf.h"
#include "formats/gguf_builder.h"
#include "formats/testing.h"

namespace martlet::formats {
namespace {

OutgoingGgufTensor dense(std::string name, const Tensor& tensor) {
  return {std::move(name), tensor.shape(), {.dtype = tensor.dtype()}, [tensor] { return tensor; }};
}

TEST(GgufWriter, MetadataComesBackAsTheKindsThatReadersExpect) {
  const TemporaryDirectory directory;
  GgufPairs pairs;
  const std::vector<std::string_view> words = {"", "Ġword", std::string_view("a\0b", 3)};
  const std::vector<float> scores = {0.5f, -1.0f};
  const std::vector<int32_t> types = {3, -6};
  pairs.text("name", "x").boolean("flag", true).integer("size", 4'000'000'000).real("theta", 1e6);
  pairs.texts("words", words).reals("scores", scores).integers("types", types);
  write_gguf(directory / "m.gguf", pairs, {});
  const GgufFile file(directory / "m.gguf");
  const GgufMetadata& data = file.metadata();
  EXPECT_EQ(data.text("name"), "x");
  EXPECT_TRUE(data.boolean("flag"));
  EXPECT_EQ(data.integer("size"), 4'000'000'000);
  EXPECT_EQ(data.real("theta"), 1e6);
  EXPECT_EQ(data.texts("words"), words);
  EXPECT_EQ(data.reals("scores"), (std::vector<double>{0.5, -1.0}));
  EXPECT_EQ(data.integers("types"), (std::vector<int64_t>{3, -6}));
  EXPECT_EQ(data.kind("size"), "u32");
  EXPECT_EQ(data.kind("theta"), "f32");
  EXPECT_EQ(data.kind("types"), "list of i32 (2)");
}

TEST(GgufWriter, EveryKindIsCopiedByteForByte) {
  const TemporaryDirectory directory;
  GgufBuilder builder;
  builder.add_number("i64", GgufKind::kI64, int64_t{-5})
      .add_text("text", "abc")
      .add("texts", GgufKind::kList, gguf_list(GgufKind::kText, 2, gguf_text("x") + gguf_text("yz")))
      .add("nested", GgufKind::kList, gguf_list(GgufKind::kList, 1, gguf_list(GgufKind::kU8, 2, "ab")))
      .add_number("f64", GgufKind::kF64, 0.1);
  const GgufFile file(directory.put("m.gguf", builder.build()));
  GgufPairs pairs;
  for (const std::string_view key : file.metadata().keys()) pairs.copy(key, file.metadata());
  write_gguf(directory / "copy.gguf", pairs, {});
  EXPECT_EQ(read_file(directory / "copy.gguf"), read_file(directory / "m.gguf"));
}

TEST(GgufWriter, TensorsOfEveryTypeComeBackWithTheirBits) {
  const TemporaryDirectory directory;
  std::vector<OutgoingGgufTensor> tensors;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8, DType::kI32, DType::kI64})
    tensors.push_back(dense(std::string(name_of(dtype)), random_tensor({3, 5}, dtype, 7)));
  tensors.push_back(dense("one number", random_tensor({1}, DType::kF32, 8)));
  tensors.push_back(dense("experts", random_tensor({2, 3, 4}, DType::kF32, 9)));
  for (const ops::PackedFormat* format : ops::packed_formats()) {
    if (format->name.starts_with("int")) continue;  // of other checkpoints; GGUF has no type for it
    const Tensor bytes = random_tensor({3, format->row_bytes(512)}, DType::kU8, 11);
    tensors.push_back({std::string(format->name), {3, 512}, {.packed = format}, [bytes] { return bytes; }});
  }
  write_gguf(directory / "m.gguf", {}, tensors);
  const GgufFile file(directory / "m.gguf");
  ASSERT_EQ(file.tensors().names().size(), tensors.size());
  for (const OutgoingGgufTensor& tensor : tensors) {
    const StoredTensor& stored = file.tensors().info(tensor.name);
    EXPECT_EQ(stored.shape, tensor.shape) << tensor.name;
    EXPECT_EQ(stored.packed, tensor.type.packed) << tensor.name;
    const Tensor expected = tensor.load();
    const Tensor got = Tensor::copy_from({stored.data.get(), static_cast<size_t>(stored.byte_count())},
                                         expected.shape(), expected.dtype());
    expect_same_bits(got, expected, tensor.name);
  }
}

TEST(GgufWriter, OneTensorIsLoadedAtATimeInTheOrderOfTheFile) {
  const TemporaryDirectory directory;
  std::vector<std::string> loaded;
  std::vector<OutgoingGgufTensor> tensors;
  for (const char* name : {"b", "a"})
    tensors.push_back({name, {4}, {.dtype = DType::kF32}, [&loaded, name] {
                         loaded.emplace_back(name);
                         return random_tensor({4}, DType::kF32, 1);
                       }});
  write_gguf(directory / "m.gguf", {}, tensors);
  EXPECT_EQ(loaded, (std::vector<std::string>{"b", "a"}));
}

TEST(GgufWriter, ATensorMayComeInParts) {
  const TemporaryDirectory directory;
  const Tensor tensor = random_tensor({4, 8}, DType::kF32, 7);
  const std::span<const std::byte> bytes(tensor.host_bytes(), static_cast<size_t>(tensor.byte_count()));
  OutgoingGgufTensor outgoing{"a", {4, 8}, {.dtype = DType::kF32}, {}};
  outgoing.in_parts = [&](const TakeBytes& take) {
    take(bytes.first(20));
    take(bytes.subspan(20));
  };
  write_gguf(directory / "parts.gguf", {}, std::vector{outgoing});
  write_gguf(directory / "whole.gguf", {}, std::vector{dense("a", tensor)});
  EXPECT_EQ(read_file(directory / "parts.gguf"), read_file(directory / "whole.gguf"));
  outgoing.in_parts = [&](const TakeBytes& take) { take(bytes.first(20)); };
  EXPECT_NE(std::string(error_of([&] { write_gguf(directory / "m.gguf", {}, std::vector{outgoing}); }).what())
                .find("announced with 128 bytes but has 20"),
            std::string::npos);
}

TEST(GgufWriter, WhatFailsLeavesTheOldFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.put("m.gguf", "old");
  const std::vector<OutgoingGgufTensor> broken = {{"a", {4}, {.dtype = DType::kF32}, [] {
                                                     failed("the disk is gone");
                                                     return Tensor();
                                                   }}};
  EXPECT_THROW(write_gguf(path, {}, broken), Error);
  const std::vector<OutgoingGgufTensor> lying = {
      {"a", {4}, {.dtype = DType::kF32}, [] { return random_tensor({5}, DType::kF32, 1); }}};
  EXPECT_NE(std::string(error_of([&] { write_gguf(path, {}, lying); }).what()).find("announced"),
            std::string::npos);
  EXPECT_EQ(read_file(path), "old");
}

TEST(GgufWriter, WhatTheFormCannotSayIsNamed) {
  const TemporaryDirectory directory;
  const Tensor tensor = random_tensor({2}, DType::kF32, 1);
  const std::vector<OutgoingGgufTensor> twice = {dense("a", tensor), dense("a", tensor)};
  EXPECT_NE(std::string(error_of([&] { write_gguf(directory / "m", {}, twice); }).what()).find("'a'"),
            std::string::npos);
  const std::vector<OutgoingGgufTensor> flags = {dense("a", random_tensor({2}, DType::kBool, 1))};
  expect_bad_input([&] { write_gguf(directory / "m", {}, flags); }, "no type for bool");
  GgufPairs pairs;
  expect_bad_input([&] { pairs.integer("llama.block_count", -1); }, "llama.block_count");
  pairs.integer("llama.block_count", 2);
  EXPECT_THROW(pairs.integer("llama.block_count", 3), Error);
}

}  // namespace
}  // namespace martlet::formats

#include "formats/safetensors.h"

#include <chrono>
#include <csignal>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "base/files.h"
#include "base/json.h"
#include "formats/testing.h"

namespace martlet::formats {
namespace {

const std::vector<Shape> kShapes = {
    {}, {1}, {7}, {0}, {3, 5}, {0, 4}, {4, 0}, {2, 3, 4}, {1, 1, 1, 1, 1, 1, 1, 2}};

std::vector<OutgoingTensor> random_tensors(uint64_t seed) {
  std::vector<OutgoingTensor> tensors;
  for (const DType dtype : kAllDTypes)
    for (const Shape& shape : kShapes)
      tensors.emplace_back(fmt::format("{}.{}", name_of(dtype), shape.to_string()),
                           random_tensor(shape, dtype, seed + tensors.size()));
  return tensors;
}

TEST(Safetensors, EveryDtypeAndShapeComesBackBitForBit) {
  const TemporaryDirectory directory;
  for (const uint64_t seed : {1u, 2u, 3u}) {
    const std::vector<OutgoingTensor> tensors = random_tensors(seed);
    const std::string path = directory / "model.safetensors";
    write_safetensors(path, tensors, {{"origin", "a test"}, {"quote", "\"\\\n\x01é"}});
    const TensorSource source = open_safetensors(path);
    EXPECT_EQ(source.names().size(), tensors.size());
    for (const OutgoingTensor& tensor : tensors)
      expect_same_bits(source.tensor(tensor.name), tensor.load(), tensor.name);
    const TextPairs expected = {{"origin", "a test"}, {"quote", "\"\\\n\x01é"}, {"format", "pt"}};
    EXPECT_EQ(SafetensorsFile(path).metadata(), expected);
  }
}

TEST(Safetensors, TensorsThatComeInPartsAreWrittenAsThoseThatComeWhole) {
  const TemporaryDirectory directory;
  const std::vector<OutgoingTensor> whole = random_tensors(6);
  std::vector<OutgoingTensor> parts;
  for (const OutgoingTensor& tensor : whole)
    parts.emplace_back(tensor.name, tensor.shape, tensor.dtype, [&tensor](const TakeBytes& take) {
      const Tensor values = tensor.load();
      const std::span bytes(values.host_bytes(), static_cast<size_t>(values.byte_count()));
      for (size_t begin = 0; begin < bytes.size(); begin += 7)
        take(bytes.subspan(begin, std::min<size_t>(7, bytes.size() - begin)));
    });
  write_safetensors(directory / "whole.safetensors", whole);
  write_safetensors(directory / "parts.safetensors", parts);
  EXPECT_EQ(read_file(directory / "parts.safetensors"), read_file(directory / "whole.safetensors"));
  // And none may have more or fewer than it said.
  for (const size_t count : {0, 3, 5}) {
    const std::vector<OutgoingTensor> wrong = {
        {"w", {4}, DType::kU8, [&](const TakeBytes& take) { take(std::vector<std::byte>(count)); }}};
    EXPECT_THROW(write_safetensors(directory / "wrong.safetensors", wrong), Error) << count;
    EXPECT_FALSE(file_exists(directory / "wrong.safetensors"));
  }
}

TEST(Safetensors, WrittenTensorsAreAlignedAndReadWithoutCopy) {
  const TemporaryDirectory directory;
  const std::string path = directory / "model.safetensors";
  write_safetensors(path, random_tensors(4));
  const SafetensorsFile file(path);
  for (const StoredTensor& tensor : file.tensors()) {
    const auto address = reinterpret_cast<uintptr_t>(tensor.data.get());
    EXPECT_EQ(address % static_cast<uintptr_t>(size_of(tensor.dtype)), 0u) << tensor.name;
    const TensorSource source({tensor}, "one");
    EXPECT_EQ(source.tensor(tensor.name).host_bytes(), tensor.data.get()) << tensor.name;
    EXPECT_TRUE(source.tensor(tensor.name).is_read_only());
  }
}

TEST(Safetensors, MisalignedTensorsAreCopiedAndRight) {
  const TemporaryDirectory directory;
  const Tensor values = random_tensor({3, 4}, DType::kF32, 5);
  std::string data(1, 'x');
  data.append(reinterpret_cast<const char*>(values.host_bytes()), 48);
  for (int pad = 0; pad < 8; ++pad) {
    const std::string header =
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"F32","shape":[3,4],"data_offsets":[1,49]}})" +
        std::string(static_cast<size_t>(pad), ' ');
    const std::string path =
        directory.put("m.safetensors", bytes_of(uint64_t{header.size()}) + header + data);
    const TensorSource source = open_safetensors(path);
    expect_same_bits(source.tensor("w"), values, "tensor");
    expect_same_bits(source.weight("w").dense(), values, "weight");
  }
}

TEST(Safetensors, AnyNameIsOnlyAName) {
  const TemporaryDirectory directory;
  std::vector<OutgoingTensor> tensors;
  const std::vector<std::string> names = {
      "../../etc/passwd", "", "a\"b\\c", "line\nfeed\ttab\x01", "权重.é😀", "/x", "__metadata", "{}", "\x7f"};
  for (const std::string& name : names)
    tensors.emplace_back(name, random_tensor({2, 2}, DType::kF16, tensors.size()));
  write_safetensors(directory / "m.safetensors", tensors);
  const TensorSource source = open_safetensors(directory / "m.safetensors");
  EXPECT_EQ(source.names(), names);
  for (const OutgoingTensor& tensor : tensors)
    expect_same_bits(source.tensor(tensor.name), tensor.load(), tensor.name);
}

TEST(Safetensors, EscapesOfOtherWritersAreRead) {
  const TemporaryDirectory directory;
  const std::string header =
      " {\t\"\\u00e9\\ud83d\\ude00\\/\\b\" : {\"shape\" : [ ] , \"data_offsets\":[0, "
      "1],\n\"dtype\":\"\\u0055\\u0038\"}\r\n}  ";
  const std::string path = directory.put("m.safetensors", bytes_of(uint64_t{header.size()}) + header + "A");
  EXPECT_EQ(open_safetensors(path).tensor("é😀/\b").data<uint8_t>()[0], 'A');
}

TEST(Safetensors, StridedAndReferenceTensorsAreWrittenInRowOrder) {
  const TemporaryDirectory directory;
  const Tensor base = random_tensor({6, 5}, DType::kF32, 6);
  const std::vector<OutgoingTensor> tensors = {
      {"t", base.transpose(0, 1)}, {"s", base.slice(0, 1, 6, 2)}, {"r", base.to(Device::kReference)}};
  write_safetensors(directory / "m.safetensors", tensors);
  const TensorSource source = open_safetensors(directory / "m.safetensors");
  expect_same_bits(source.tensor("t"), base.transpose(0, 1).clone(), "transposed");
  expect_same_bits(source.tensor("s"), base.slice(0, 1, 6, 2).clone(), "slice");
  expect_same_bits(source.tensor("r"), base, "reference");
}

TEST(Safetensors, ShardsRoundTripAndTensorsAreLoadedOneByOne) {
  const TemporaryDirectory directory;
  std::vector<OutgoingTensor> tensors;
  int loads = 0;
  for (int i = 0; i < 20; ++i) {
    const Tensor tensor = random_tensor({10, 10}, DType::kF32, static_cast<uint64_t>(i));
    tensors.emplace_back(fmt::format("t{}", i), tensor.shape(), tensor.dtype(), [tensor, &loads] {
      ++loads;
      return tensor;
    });
  }
  const std::vector<std::string> files = write_safetensors_directory(directory.path(), tensors, {}, 1000);
  EXPECT_EQ(loads, 20);
  ASSERT_EQ(files.size(), 11u);  // ten of two tensors each, and the index
  EXPECT_EQ(files[0], "model-00001-of-00010.safetensors");
  const Json index = Json::parse_file(directory / "model.safetensors.index.json");
  EXPECT_EQ(index.at("metadata").at("total_size").integer(), 8000);
  const TensorSource source = open_safetensors(directory.path());
  for (const OutgoingTensor& tensor : tensors)
    expect_same_bits(source.tensor(tensor.name), tensor.load(), tensor.name);

  EXPECT_EQ(write_safetensors_directory(directory.path(), tensors).size(), 1u);
  EXPECT_FALSE(file_exists(directory / "model.safetensors.index.json"));
  EXPECT_EQ(open_safetensors(directory.path()).names().size(), 20u);
  write_safetensors_directory(directory.path(), tensors, {}, 1000);
  EXPECT_FALSE(file_exists(directory / "model.safetensors"));
}

TEST(Safetensors, WriterRefusesWhatItCannotKeep) {
  const TemporaryDirectory directory;
  const Tensor one = random_tensor({1}, DType::kF32, 1);
  const auto write = [&](std::vector<OutgoingTensor> tensors) {
    return [&directory, tensors] { write_safetensors(directory / "m.safetensors", tensors); };
  };
  EXPECT_NE(std::string(error_of(write({{"a", one}, {"a", one}})).what()).find("'a'"), std::string::npos);
  error_of(write({{"__metadata__", one}}));
  error_of(write({{"\xff", one}}));
  error_of(write({{"a", Shape{2}, DType::kF32, [one] { return one; }}}));
  EXPECT_FALSE(file_exists(directory / "m.safetensors"));
}

TEST(Safetensors, AFullDiskLeavesNoHalfFile) {
  const std::vector<OutgoingTensor> tensors = {{"a", random_tensor({1 << 18}, DType::kF32, 1)}};
  EXPECT_EQ(error_of([&] { write_safetensors("/dev/full", tensors); }).code(), ErrorCode::kExhausted);

  const TemporaryDirectory directory;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1 << 19, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const Error error = error_of([&] { write_safetensors(directory / "m.safetensors", tensors); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(error.code(), ErrorCode::kExhausted);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(Safetensors, ATwentyGigabyteFileOpensWithoutReadingIt) {
  const TemporaryDirectory directory;
  const uint64_t elements = 5'000'000'000;
  const std::string header =
      fmt::format(R"({{"w":{{"dtype":"F32","shape":[1000000,5000],"data_offsets":[0,{}]}}}} )", elements * 4);
  const std::string path = directory.put("m.safetensors", bytes_of(uint64_t{header.size()}) + header);
  std::filesystem::resize_file(path, 8 + header.size() + elements * 4);  // sparse
  const auto begin = std::chrono::steady_clock::now();
  const TensorSource source = open_safetensors(path);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(seconds.count(), 0.2);
  EXPECT_EQ(source.info("w").byte_count(), 20'000'000'000);
}

TEST(Safetensors, AMissingTensorIsNamedWithTheNearest) {
  const TensorSource source({{.name = "layers.0.weight", .shape = {0}, .dtype = DType::kF32}},
                            "x.safetensors");
  expect_bad_input([&] { source.tensor("layers.0.wieght"); }, "'layers.0.weight'");
  expect_bad_input([&] { source.weight("layers.0.weight"); }, "matrix");
  expect_bad_input(
      [&] {
        TensorSource({source.info("layers.0.weight"), source.info("layers.0.weight")}, "x");
      },
      "comes twice");
}

TEST(Safetensors, StacksOfMatricesReadAsRows) {
  const TemporaryDirectory directory;
  const Tensor stack = random_tensor({3, 4, 5}, DType::kBF16, 9);
  write_safetensors(directory / "m.safetensors", std::vector<OutgoingTensor>{{"experts", stack}});
  const ops::Weight weight = open_safetensors(directory / "m.safetensors").weight("experts");
  EXPECT_EQ(weight.shape(), (Shape{12, 5}));
  expect_same_bits(weight.rows(4, 8).dense(), stack.select(0, 1), "second matrix");
}

}  // namespace
}  // namespace martlet::formats

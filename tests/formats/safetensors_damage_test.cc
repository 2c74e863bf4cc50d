// Damaged and lying safetensors files: refused in one sentence, never a crash.

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "formats/testing.h"

namespace martlet::formats {
namespace {

std::string with_header(std::string_view header, std::string_view data) {
  return bytes_of(uint64_t{header.size()}) + std::string(header) + std::string(data);
}

std::string small_file(const TemporaryDirectory& directory) {
  const std::string path = directory / "good.safetensors";
  write_safetensors(path, std::vector<OutgoingTensor>{{"model.a", random_tensor({3, 4}, DType::kF32, 1)},
                                                      {"b", random_tensor({5}, DType::kBF16, 2)},
                                                      {"c", random_tensor({}, DType::kI64, 3)}});
  return read_file(path);
}

/// Opening may succeed (the damage may hit elements only) but every tensor must then be readable.
void open_and_read(const std::string& path) {
  try {
    const TensorSource source = open_safetensors(path);
    for (const std::string& name : source.names()) source.tensor(name).clone();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
    EXPECT_TRUE(std::string_view(error.what()).starts_with(path)) << error.what();
    EXPECT_LT(std::string_view(error.what()).size(), 1000u);
  }
}

TEST(SafetensorsDamage, EveryTruncationIsRefused) {
  const TemporaryDirectory directory;
  const std::string good = small_file(directory);
  for (size_t length = 0; length < good.size(); ++length) {
    const std::string path = directory.put("bad.safetensors", good.substr(0, length));
    expect_bad_input([&] { open_safetensors(path); }, path);
  }
}

TEST(SafetensorsDamage, EveryByteFlippedNeverCrashes) {
  const TemporaryDirectory directory;
  const std::string good = small_file(directory);
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {1, 2, 0x80, 0xff, 0x20}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      open_and_read(directory.put("bad.safetensors", bad));
    }
  }
}

TEST(SafetensorsDamage, HeadersThatLieAreRefusedWithTheReason) {
  const TemporaryDirectory directory;
  const auto refused = [&](std::string_view header, std::string_view part,
                           std::string_view data = "12345678") {
    const std::string path = directory.put("bad.safetensors", with_header(header, data));
    expect_bad_input([&] { open_safetensors(path); }, part);
  };
  const auto entry = [](std::string_view dtype, std::string_view shape, std::string_view offsets) {
    return fmt::format(R"({{"a":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
  };
  refused(entry("\"F32\"", "[2]", "[8,0]"), "lies at bytes 8 to 0");
  refused(entry("\"F32\"", "[2]", "[0,1099511627776]"), "which has 8 bytes");
  refused(entry("\"F32\"", "[-1,4]", "[0,8]"), "whole number");
  refused(entry("\"F32\"", "[1099511627776,1099511627776]", "[0,8]"), "impossible shape");
  refused(entry("\"F32\"", "[4611686018427387904]", "[0,8]"), "larger than any file");
  refused(entry("\"F32\"", "[99999999999999999999]", "[0,8]"), "63 bits");
  refused(entry("\"F99\"", "[2]", "[0,8]"), "those supported are F32, BF16, F16, I8, I32, I64, U8, BOOL");
  refused(entry("\"F64\"", "[1]", "[0,8]"), "'F64'");
  refused(entry("\"F32\"", "[3]", "[0,8]"), "takes 12 bytes");
  refused(entry("\"F32\"", "[2.0]", "[0,8]"), "expected");
  refused(entry("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), "more than 8 dimensions");
  refused(entry("\"F32\"", "[02]", "[0,8]"), "whole number");
  refused(entry("\"F32\"", "2", "[0,8]"), "'['");
  refused(entry("5", "[2]", "[0,8]"), "dtype");
  refused(entry("\"F32\"", "[2]", "[0,8,8]"), "']'");
  refused(entry("\"F32\"", "[1]", "[0,4]"), "4 bytes belong to no tensor");
  refused(entry("\"F32\"", "[1]", "[4,8]"), "leave a gap");
  refused(R"({"a":{"dtype":"F32","shape":[2]}})", "lacks its data_offsets");
  refused(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "twice the key 'dtype'");
  refused(R"({"a":{"dtype":"F32","more":1,"shape":[2],"data_offsets":[0,8]}})", "unknown key 'more'");
  refused(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      "comes twice");
  refused(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      "overlap");
  refused("[" + std::string(200000, '['), "'{'");
  refused("{\"__metadata__\":{\"a\":[[1]]}}", "a text as value", "");
  refused("{\"__metadata__\":{},\"__metadata__\":{}}", "twice", "");
  refused("{}x", "end of the header", "");
  refused("{\"\xff\":{}}", "UTF-8", "");
  refused("{\"a", "end of a text", "");
  refused("{\"\\ud800\":{}}", "surrogate", "");
  refused("{\"\\ud800\\u0020\":{}}", "surrogate", "");
  refused("{\"\\udc00\":{}}", "surrogate", "");
  refused("{\"\\x\":{}}", "escape", "");
  refused("{\"\\u12g4\":{}}", "hexadecimal", "");
  refused("{\"a\nb\":{}}", "control", "");
  refused("", "'{'", "");
  EXPECT_TRUE(open_safetensors(directory.put("ok.safetensors", with_header("{}", ""))).names().empty());
}

TEST(SafetensorsDamage, LyingLengthsAreRefused) {
  const TemporaryDirectory directory;
  const std::string good = small_file(directory);
  const auto with_length = [&](uint64_t length) {
    const std::string path = directory.put("bad.safetensors", bytes_of(length) + good.substr(8));
    return [path] { open_safetensors(path); };
  };
  expect_bad_input(with_length(uint64_t{1} << 62), "claims");
  expect_bad_input(with_length(UINT64_MAX), "claims");
  expect_bad_input(with_length(good.size()), "only");
  expect_bad_input(with_length(100'000'000), "only");
  const std::string longer = directory.put("bad.safetensors", good + std::string(64, 'x'));
  expect_bad_input([&] { open_safetensors(longer); }, "64 bytes belong to no tensor");
}

TEST(SafetensorsDamage, AGitPointerIsRecognised) {
  const TemporaryDirectory directory;
  const std::string path = directory.put(
      "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 269060552\n");
  expect_bad_input([&] { open_safetensors(path); }, "git-lfs pointer");
}

class SafetensorsIndex : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<OutgoingTensor> tensors;
    for (const char* name : {"a", "b", "c", "d"})
      tensors.emplace_back(name, random_tensor({8}, DType::kF32, 1));
    write_safetensors_directory(directory.path(), tensors, {}, 64);
  }

  void refused(std::string_view index, std::string_view part) {
    directory.put("model.safetensors.index.json", index);
    expect_bad_input([&] { open_safetensors(directory.path()); }, part);
  }

  TemporaryDirectory directory;
};

TEST_F(SafetensorsIndex, ContradictionsAreNamed) {
  const std::string first = "model-00001-of-00002.safetensors";
  const std::string second = "model-00002-of-00002.safetensors";
  const auto index = [&](std::string_view c, std::string_view more) {
    return fmt::format(R"({{"weight_map":{{"a":"{}","b":"{}","c":"{}","d":"{}"{}}}}})", first, first, c,
                       second, more);
  };
  directory.put("model.safetensors.index.json", index(second, ""));
  EXPECT_EQ(open_safetensors(directory.path()).names().size(), 4u);
  refused(index(first, ""), "'c'");
  refused(index(second, fmt::format(R"(,"e":"{}")", second)), "lacks: 'e'");
  refused(index("nosuch.safetensors", ""), "'nosuch.safetensors'");
  refused(index("../model-00002-of-00002.safetensors", ""), "plain name");
  refused(index("/etc/passwd", ""), "plain name");
  refused(index("..", ""), "plain name");
  refused(index("", ""), "plain name");
  refused(fmt::format(R"({{"weight_map":{{"a":"{}","b":"{}"}}}})", first, second),
          "does not place there: 'b'");
  refused(R"({"weight_map":{"a":3}})", "'a'");
  refused(R"({"weight_map":[]})", "weight_map");
  refused(R"({})", "weight_map");
  refused(R"([)", "model.safetensors.index.json");
  refused(std::string(100000, '['), "model.safetensors.index.json");
}

TEST_F(SafetensorsIndex, ADamagedShardIsNamed) {
  const std::string second = directory / "model-00002-of-00002.safetensors";
  std::filesystem::resize_file(second, 100);
  expect_bad_input([&] { open_safetensors(directory.path()); }, second);
}

}  // namespace
}  // namespace martlet::formats

#include "formats/model_files.h"

#include <gtest/gtest.h>

#include "formats/gguf_builder.h"
#include "formats/names.h"
#include "formats/safetensors.h"
#include "formats/testing.h"

namespace martlet::formats {
namespace {

const std::string kPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";

class ModelDirectory : public ::testing::Test {
 protected:
  void put_weights() {
    write_safetensors(directory / "model.safetensors",
                      std::vector<OutgoingTensor>{{"w", random_tensor({2, 2}, DType::kF32, 1)}});
  }
  void refused(std::string_view part) {
    expect_bad_input([&] { find_model_files(directory.path()); }, part);
    expect_bad_input([&] { find_model_files(directory.path()); }, directory.path());
  }

  TemporaryDirectory directory;
};

TEST_F(ModelDirectory, FilesAreFoundAndAbsentOnesAreEmpty) {
  put_weights();
  directory.put("config.json", "{}");
  directory.put("tokenizer.json", "{}");
  directory.put("martlet.toml", "");
  const ModelFiles files = find_model_files(directory.path());
  EXPECT_EQ(files.kind, ModelKind::kDirectory);
  EXPECT_EQ(files.config, directory / "config.json");
  EXPECT_EQ(files.tokenizer, directory / "tokenizer.json");
  EXPECT_EQ(files.rewrites, directory / "martlet.toml");
  EXPECT_TRUE(files.generation_config.empty());
  EXPECT_TRUE(files.tokenizer_config.empty());
  EXPECT_TRUE(files.chat_template.empty());
  EXPECT_EQ(open_tensors(files).names(), std::vector<std::string>{"w"});
}

TEST_F(ModelDirectory, ShardsNeedOnlyTheirIndex) {
  const std::vector<OutgoingTensor> tensors = {{"a", random_tensor({4}, DType::kF32, 1)},
                                               {"b", random_tensor({4}, DType::kF32, 2)}};
  write_safetensors_directory(directory.path(), tensors, {}, 16);
  directory.put("config.json", "{}");
  EXPECT_EQ(open_tensors(find_model_files(directory.path())).names().size(), 2u);
}

TEST_F(ModelDirectory, WhatIsMissingIsSaid) {
  refused("the directory is empty");
  directory.put("README.md", "hello");
  refused("no weights here");
  directory.put("pytorch_model.bin", "PK");
  refused("'pytorch_model.bin' are in a form of PyTorch");
  directory.put("model-00001-of-00002.safetensors", "x");
  refused("neither model.safetensors nor model.safetensors.index.json");
  directory.put("b.gguf", "GGUF");
  directory.put("a.gguf", "GGUF");
  refused("name one of them: 'a.gguf' and 'b.gguf'");
  put_weights();
  refused("config.json is missing");
}

TEST_F(ModelDirectory, GitPointersAreRecognisedInEveryPlace) {
  put_weights();
  directory.put("config.json", "{}");
  directory.put("tokenizer.json", kPointer);
  expect_bad_input([&] { find_model_files(directory.path()); },
                   directory / "tokenizer.json: this is a git-lfs pointer");
  directory.put("model.safetensors", kPointer);
  expect_bad_input([&] { find_model_files(directory.path()); },
                   "model.safetensors: this is a git-lfs pointer");
  directory.put("m.gguf", kPointer);
  expect_bad_input([&] { find_model_files(directory / "m.gguf"); }, "m.gguf: this is a git-lfs pointer");
}

TEST_F(ModelDirectory, AFileIsKnownByItsContentOrItsName) {
  const std::string content =
      GgufBuilder().add_text("general.architecture", "llama").add_tensor("w", {1}, 0, "1234").build();
  for (const char* name : {"m.gguf", "sha256-0123"}) {
    const ModelFiles files = find_model_files(directory.put(name, content));
    EXPECT_EQ(files.kind, ModelKind::kGguf);
    EXPECT_EQ(open_tensors(files).names(), std::vector<std::string>{"w"});
  }
  const ModelFiles damaged = find_model_files(directory.put("bad.gguf", "GGUX"));
  expect_bad_input([&] { open_tensors(damaged); }, "'GGUX'");
  const auto refused = [&](const std::string& path, std::string_view part) {
    expect_bad_input([&] { find_model_files(path); }, part);
  };
  refused(directory / "nosuch", "there is no such file or directory");
  refused(directory.put("empty.gguf", ""), "the file is empty");
  refused(directory.put("m.pt", "PK\3\4"), "a file of PyTorch");
  refused(directory.put("m.onnx", "x"), "a file of ONNX");
  refused(directory.put("m.txt", "hello"), "this is no model");
  put_weights();
  refused(directory / "model.safetensors", "name the directory");
}

TEST(Names, AreShownOnOneReadableBoundedLine) {
  EXPECT_EQ(in_quotes("layers.0.权重"), "'layers.0.权重'");
  EXPECT_EQ(in_quotes("a\nb\x01\xff"), "'a\\x0ab\\x01\\xff'");
  EXPECT_LT(in_quotes(std::string(100000, '\xff')).size(), 500u);
  EXPECT_EQ(listed(std::vector<std::string>{}), "");
  EXPECT_EQ(listed(std::vector<std::string>{"a"}), "'a'");
  EXPECT_EQ(listed(std::vector<std::string>{"a", "b"}), "'a' and 'b'");
  EXPECT_EQ(listed(std::vector<std::string>{"a", "b", "c"}), "'a', 'b' and 'c'");
  EXPECT_EQ(listed(std::vector<std::string>(10, "a"), 2), "'a', 'a' and 8 more");
}

}  // namespace
}  // namespace martlet::formats

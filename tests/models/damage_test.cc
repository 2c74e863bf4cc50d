// Model directories that lie: each refused in one bounded sentence, before anything is allocated for the lie.

#include <filesystem>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "formats/safetensors.h"
#include "models/open.h"
#include "support/random_model.h"

namespace martlet::models {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// The message with which `path` is refused.
std::string refusal(const std::string& path) {
  try {
    open_model(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    EXPECT_LT(std::string_view(error.what()).size(), 3000u) << error.what();
    return error.what();
  }
  return "it was opened";
}

class Damage : public ::testing::Test {
 protected:
  std::string with(const std::string& key, Json value) {
    directory.write_config(testing::small_llama_config().set(key, std::move(value)));
    return refusal(directory.path());
  }
  /// `text` in the place of the value of `key`, which may be no JSON at all.
  std::string with_text(const std::string& key, const std::string& text) {
    const std::string config = testing::small_llama_config().set(key, "HERE").dump();
    write_file(directory.path() + "/config.json",
               std::string(config).replace(config.find("\"HERE\""), 6, text));
    return refusal(directory.path());
  }
  std::string weights() const { return directory.path() + "/model.safetensors"; }

  testing::ModelDirectory directory{testing::small_llama_config(), 1};
};

TEST_F(Damage, AllThatContradictsTheConfigStandsInOneMessage) {
  std::vector<formats::OutgoingTensor> tensors;
  const formats::TensorSource source = formats::open_safetensors(directory.path());
  for (const std::string& name : source.names())
    if (name != "model.norm.weight") tensors.emplace_back(name, source.tensor(name).clone());
  tensors.emplace_back("stray", Tensor::zeros({2}, DType::kF32));
  formats::write_safetensors(weights(), tensors);
  EXPECT_THAT(
      with("intermediate_size", 40),
      AllOf(HasSubstr("1 missing: 'model.norm.weight'"), HasSubstr("6 of the wrong shape"),
            HasSubstr(
                "'model.layers.{0..1}.mlp.gate_proj.weight' (shape [48, 32], and the config says [40, 32])"),
            HasSubstr("'model.layers.{0..1}.mlp.down_proj.weight'"),
            HasSubstr("1 that the model has no place for: 'stray'")));
}

TEST_F(Damage, NumbersOfTheConfig) {
  for (const char* key : {"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                          "intermediate_size", "vocab_size", "max_position_embeddings", "head_dim"}) {
    for (const Json& value : {Json(0), Json(-1), Json(INT64_MAX), Json(INT64_MIN), Json(2.5), Json(1e300),
                              Json("many"), Json(true), Json(Json::Array{})})
      EXPECT_THAT(with(key, value), HasSubstr(key)) << value.dump();
    for (const char* text : {"NaN", "Infinity", "-Infinity", "1e999", "0x10", "1e-999999"})
      EXPECT_NE(with_text(key, text), "it was opened") << key << " " << text;
  }
  for (const char* key : {"rms_norm_eps", "rope_theta"})
    for (const char* text : {"NaN", "Infinity", "1e999", "\"x\"", "[]"})
      EXPECT_NE(with_text(key, text), "it was opened") << key << " " << text;
  EXPECT_THAT(with("rope_theta", 0), HasSubstr("rope_theta"));
  EXPECT_THAT(with("rope_theta", -1e4), HasSubstr("rope_theta"));
  EXPECT_THAT(with("rope_theta", 1e300), HasSubstr("rope_theta"));
  EXPECT_THAT(with("rms_norm_eps", -1.0), HasSubstr("rms_norm_eps"));
}

TEST_F(Damage, WordsOfTheConfig) {
  EXPECT_THAT(with("hidden_act", "nosuch"), HasSubstr("nosuch"));
  EXPECT_THAT(with("model_type", "nosuch"), AllOf(HasSubstr("nosuch"), HasSubstr("qwen3")));
  EXPECT_THAT(with("rope_scaling", Json::parse(R"({"rope_type": "nosuch"})", "")), HasSubstr("nosuch"));
  EXPECT_THAT(with("layer_types", Json::parse(R"(["full_attention", "linear_attention"])", "")),
              HasSubstr("linear_attention"));
  EXPECT_THAT(with("layer_types", Json::parse(R"(["full_attention"])", "")), HasSubstr("layer_types"));
  for (const char* text : {"", "[]", "3", "{", "null", "\xff\xfe"}) {
    write_file(directory.path() + "/config.json", text);
    EXPECT_THAT(refusal(directory.path()), HasSubstr("config.json")) << text;
  }
}

TEST_F(Damage, AbsurdSizesAreRefusedBeforeAnythingIsAllocated) {
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  Json config = testing::small_llama_config();
  config.set("hidden_size", 1 << 22).set("vocab_size", 1 << 27).set("num_hidden_layers", 4096);
  config.set("intermediate_size", 1 << 22).set("num_attention_heads", 1 << 10);
  directory.write_config(config);
  EXPECT_THAT(refusal(directory.path()), HasSubstr("'model.layers.{2..4095}.self_attn.q_proj.weight'"));
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 600 << 10);  // KiB; the weights would be 10^17 bytes
}

TEST_F(Damage, ZeroSizesOfStoredTensors) {
  std::vector<formats::OutgoingTensor> tensors;
  const formats::TensorSource source = formats::open_safetensors(directory.path());
  for (const std::string& name : source.names()) {
    const bool empty = name == "model.embed_tokens.weight";
    tensors.emplace_back(name, empty ? Tensor::zeros({0, 32}, DType::kF32) : source.tensor(name).clone());
  }
  formats::write_safetensors(weights(), tensors);
  EXPECT_THAT(refusal(directory.path()), HasSubstr("[0, 32]"));
}

TEST_F(Damage, FilesThatAreNone) {
  const std::string kept = directory.path() + "/kept";
  fs::rename(weights(), kept);
  fs::create_directory(weights());
  EXPECT_THAT(refusal(directory.path()), AllOf(HasSubstr(weights()), HasSubstr("this is a folder")));
  fs::remove(weights());

  ASSERT_EQ(mkfifo(weights().c_str(), 0600), 0);
  EXPECT_THAT(refusal(directory.path()), HasSubstr("not a regular file"));
  fs::remove(weights());

  fs::create_symlink("/dev/zero", weights());
  EXPECT_THAT(refusal(directory.path()), HasSubstr("not a regular file"));
  fs::remove(weights());

  fs::create_symlink("nosuch", weights());
  EXPECT_THAT(refusal(directory.path()), HasSubstr("No such file"));
  fs::remove(weights());

  fs::rename(kept, weights());
  const std::string config = directory.path() + "/config.json";
  fs::remove(config);
  ASSERT_EQ(mkfifo(config.c_str(), 0600), 0);
  EXPECT_THAT(refusal(directory.path()), HasSubstr("not a regular file"));
}

TEST_F(Damage, LinksThatRunInACircle) {
  const std::string top = directory.path() + "/links";
  fs::create_directory(top);
  for (int i = 0; i < 8; ++i)
    fs::create_symlink(top + "/" + std::to_string((i + 1) % 8), top + "/" + std::to_string(i));
  EXPECT_THAT(refusal(top + "/0"), HasSubstr("symbolic links"));
  fs::remove(weights());
  fs::create_symlink(top + "/0", weights());
  EXPECT_THAT(refusal(directory.path()), AllOf(HasSubstr(weights()), HasSubstr("symbolic links")));
  fs::remove(weights());
  // Eight links that end at a file are no damage.
  const testing::ModelDirectory other(testing::small_llama_config(), 2);
  fs::remove(top + "/7");
  fs::create_symlink(other.path() + "/model.safetensors", top + "/7");
  fs::create_symlink(top + "/0", weights());
  EXPECT_EQ(refusal(directory.path()), "it was opened");
}

TEST_F(Damage, FilesThatMayNotBeRead) {
  fs::permissions(directory.path(), fs::perms(0755));
  fs::permissions(directory.path() + "/config.json", fs::perms::none);
  // Root may read everything, so it becomes nobody for a while.
  const bool root = ::geteuid() == 0;
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(root ? ::seteuid(kNobody) : 0, 0);
  const std::string message = refusal(directory.path());
  ASSERT_EQ(root ? ::seteuid(0) : 0, 0);
  EXPECT_THAT(message, AllOf(HasSubstr("config.json"), HasSubstr("denied")));
}

}  // namespace
}  // namespace martlet::models

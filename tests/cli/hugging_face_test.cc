#include <gmock/gmock.h>
#include <openssl/evp.h>

#include "base/error.h"
#include "base/files.h"
#include "cli/sources/source.h"
#include "hub_server.h"
#include "scratch.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

std::string digest(const EVP_MD* algorithm, const std::string& text) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), bytes, &size, algorithm, nullptr);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

std::string git_hash(const std::string& text) {
  return digest(EVP_sha1(), "blob " + std::to_string(text.size()) + std::string(1, '\0') + text);
}

/// A hub with one model: a config, a file in a folder that is to be left out, and weights of 300,000 bytes.
class Hub : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 300000; ++i) weights += static_cast<char>(i * 31 % 251);
    setenv("HF_ENDPOINT", server.address().c_str(), 1);
    setenv("HF_TOKEN", "secret", 1);
    server.put("/api/models/owner/model", {R"({"cardData": {"license": "mit"}, "siblings": [
      {"rfilename": "config.json"}, {"rfilename": "onnx/model.onnx"}, {"rfilename": "../escape.json"},
      {"rfilename": "model.safetensors"}, {"rfilename": "pytorch_model.bin"}]})"});
    server.put("/owner/model/resolve/main/config.json", {"{}", git_hash("{}")});
    put_weights({weights, "", digest(EVP_sha256(), weights)});
    make_directories(folder);
  }
  void TearDown() override {
    unsetenv("HF_ENDPOINT");
    unsetenv("HF_TOKEN");
  }

  void put_weights(HubServer::File file) {
    server.put("/owner/model/resolve/main/model.safetensors", std::move(file));
  }
  FetchedModel fetch(const std::string& name = "owner/model") {
    return hugging_face_source().fetch(name, folder, no_progress());
  }
  std::string complaint(ErrorCode code, const std::string& name = "owner/model") {
    try {
      fetch(name);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.what();
    }
    return "nothing was thrown";
  }
  void expect_whole() { EXPECT_TRUE(read_file(folder + "/model.safetensors") == weights); }

  Scratch scratch;
  HubServer server;
  std::string folder = scratch.path() + "/model";
  std::string weights;
};

TEST_F(Hub, FetchesTheFilesOfTheModelAndItsLicence) {
  EXPECT_EQ(fetch().licence, "mit");
  EXPECT_EQ(read_file(folder + "/config.json"), "{}");
  expect_whole();
  EXPECT_FALSE(file_exists(folder + "/pytorch_model.bin"));
  EXPECT_FALSE(file_exists(folder + "/../escape.json"));
  for (const std::string& request : server.requests())
    EXPECT_THAT(request, HasSubstr("Authorization: Bearer secret"));
}

TEST_F(Hub, ACutConnectionResumesWhereItStopped) {
  put_weights({weights, "", digest(EVP_sha256(), weights), 3});
  fetch();
  expect_whole();
  EXPECT_THAT(server.requests().back(), HasSubstr("Range: bytes=262500-"));
}

TEST_F(Hub, AServerThatForgetsRangesIsReadFromTheBeginning) {
  write_file(folder + "/model.safetensors.part", weights.substr(0, 1000));
  put_weights({weights, "", digest(EVP_sha256(), weights), 0, false});
  fetch();
  expect_whole();
}

TEST_F(Hub, WhatAnEarlierPullLeftIsContinuedOrProvedStale) {
  write_file(folder + "/model.safetensors.part", weights.substr(0, 1000));
  fetch();
  expect_whole();
  EXPECT_THAT(server.requests().back(), HasSubstr("Range: bytes=1000-"));
  for (const size_t size : {size_t{1000}, weights.size(), weights.size() + 5}) {
    std::filesystem::remove(folder + "/model.safetensors");
    write_file(folder + "/model.safetensors.part", std::string(size, '?'));
    fetch();
    expect_whole();
  }
}

TEST_F(Hub, AWrongChecksumLeavesNoFile) {
  for (const HubServer::File& file : {HubServer::File{weights, "", digest(EVP_sha256(), "other")},
                                      HubServer::File{weights, git_hash("other"), ""}}) {
    put_weights(file);
    EXPECT_THAT(complaint(ErrorCode::kFailed), HasSubstr("checksum"));
    EXPECT_FALSE(file_exists(folder + "/model.safetensors"));
    EXPECT_FALSE(file_exists(folder + "/model.safetensors.part"));
  }
}

TEST_F(Hub, SaysWhatIsMissing) {
  EXPECT_THAT(complaint(ErrorCode::kBadInput, "owner/other"), HasSubstr("not found"));
  EXPECT_THAT(complaint(ErrorCode::kBadInput, "owner/model:none.gguf"), HasSubstr("no file 'none.gguf'"));
  server.put("/api/models/owner/two",
             {R"({"siblings": [{"rfilename": "a.gguf"}, {"rfilename": "b.gguf"}]})"});
  EXPECT_THAT(complaint(ErrorCode::kBadInput, "owner/two"), HasSubstr("martlet pull owner/two:a.gguf"));
  setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
  EXPECT_THAT(complaint(ErrorCode::kFailed), HasSubstr("127.0.0.1"));
}

}  // namespace
}  // namespace martlet::cli

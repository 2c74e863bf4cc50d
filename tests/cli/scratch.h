#pragma once

#include <filesystem>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <unistd.h>

namespace martlet::cli {

/// A folder of one test, which is also its data and cache home, so that no test touches what is a person's.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "martlet-cli-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
    setenv("XDG_DATA_HOME", (path_ + "/data").c_str(), 1);
    setenv("XDG_CACHE_HOME", (path_ + "/cache").c_str(), 1);
  }
  ~Scratch() {
    unsetenv("XDG_DATA_HOME");
    unsetenv("XDG_CACHE_HOME");
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace martlet::cli

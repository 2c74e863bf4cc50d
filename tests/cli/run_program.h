#pragma once

#include <cstdlib>
#include <string>
#include <sys/wait.h>

#include "base/files.h"
#include "scratch.h"

namespace martlet::cli {

struct Outcome {
  int code;
  std::string out, err;
};

/// Runs the built program through the shell; `words` may hold quotes and redirections.
inline Outcome run(const Scratch& scratch, const std::string& words) {
  const std::string out = scratch.path() + "/out", err = scratch.path() + "/err";
  const std::string command = std::string(MARTLET_PROGRAM) + " " + words + " >" + out + " 2>" + err;
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_file(out), read_file(err)};
}

}  // namespace martlet::cli

#pragma once

#include <string>

#include "cli/options.h"

namespace martlet::cli {

/// Where runs are logged: `file` where it is given, else $MARTLET_RUNS, else runs.db in data_folder().
std::string run_log_path(const std::string& file);

/// What a training run leaves for people to look at.
struct RecordOptions {
  bool no_log = false;
  std::string log_file;     ///< as --runs names it
  std::string name;         ///< of the run; empty: its folder's
  std::string tensorboard;  ///< a folder; empty: no event files

  void declare(Options& options);
};

}  // namespace martlet::cli

#include "cli/record_options.h"

#include <cstdlib>

#include "cli/store.h"

namespace martlet::cli {

std::string run_log_path(const std::string& file) {
  if (!file.empty()) return file;
  const char* named = std::getenv("MARTLET_RUNS");
  return named != nullptr && *named != '\0' ? named : data_folder() + "/runs.db";
}

void RecordOptions::declare(Options& options) {
  options.text("--name", "NAME", name, "what the log of runs calls it; its folder's name where none is given")
      .flag("--no-log", no_log, "leave the run out of the log of runs")
      .text("--runs", "FILE", log_file, "the log of runs, in place of $MARTLET_RUNS and the usual one")
      .text("--tensorboard", "DIR", tensorboard, "write event files for TensorBoard too");
}

}  // namespace martlet::cli

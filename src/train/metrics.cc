#include "train/metrics.h"

#include <sstream>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

namespace martlet::train {
namespace {

/// The lines of steps before `step`; a last line that was cut is left out.
std::string rows_before(const std::string& text, int64_t step) {
  std::string kept;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    try {
      const Json row = Json::parse(line, "metrics");
      const Json* at = row.find("step");
      if (at != nullptr && at->integer() < step) kept += line + "\n";
    } catch (const Error&) {
      break;
    }
  }
  return kept;
}

}  // namespace

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<int64_t>(sysconf(_SC_PAGESIZE));
}

MetricsFile::MetricsFile(std::string path, int64_t from_step) : path_(std::move(path)) {
  const std::string kept =
      from_step > 0 && file_exists(path_) ? rows_before(read_file(path_), from_step) : "";
  write_file(path_, kept);
  file_.open(path_, std::ios::app);
  if (!file_) bad_input("{}: cannot be written", path_);
}

void MetricsFile::write(const StepMetrics& metrics) {
  Json row;
  row.set("step", metrics.step).set("loss", metrics.loss).set("learning_rate", metrics.learning_rate);
  row.set("grad_norm", metrics.gradient_norm).set("tokens_per_s", metrics.tokens_per_second());
  row.set("memory_bytes", resident_bytes());
  if (metrics.loss_scale) row.set("loss_scale", *metrics.loss_scale);
  if (metrics.eval_loss) row.set("eval_loss", *metrics.eval_loss);
  file_ << row.dump() << '\n' << std::flush;
  if (!file_) fail(ErrorCode::kExhausted, "{}: cannot be written; is the disk full?", path_);
}

}  // namespace martlet::train

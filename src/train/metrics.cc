#include "train/metrics.h"

#include <cmath>
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

struct ProcessPages {
  int64_t total = 0, resident = 0, of_files = 0;
};

ProcessPages process_pages() {
  std::ifstream file("/proc/self/statm");
  ProcessPages pages;
  file >> pages.total >> pages.resident >> pages.of_files;
  return pages;
}

}  // namespace

std::vector<StepRow> metrics_before(const std::string& path, int64_t step) {
  std::vector<StepRow> rows;
  if (!file_exists(path)) return rows;
  std::istringstream lines(rows_before(read_file(path), step));
  const auto number = [](const Json& row, std::string_view key) {
    const Json* value = row.find(key);
    return value != nullptr && value->is_number() ? value->real() : std::nan("");
  };
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, path);
    StepRow row;
    row.step = json.at("step").integer();
    row.loss = number(json, "loss");
    row.learning_rate = number(json, "learning_rate");
    row.gradient_norm = number(json, "grad_norm");
    row.tokens_per_second = number(json, "tokens_per_s");
    const double memory = number(json, "memory_bytes");
    row.memory_bytes = std::isfinite(memory) ? static_cast<int64_t>(memory) : 0;
    if (json.find("eval_loss") != nullptr) row.eval_loss = number(json, "eval_loss");
    rows.push_back(row);
  }
  return rows;
}

int64_t resident_bytes() {
  return process_pages().resident * static_cast<int64_t>(sysconf(_SC_PAGESIZE));
}

int64_t resident_file_bytes() {
  return process_pages().of_files * static_cast<int64_t>(sysconf(_SC_PAGESIZE));
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

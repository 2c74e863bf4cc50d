#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "train/step_row.h"
#include "train/trainer.h"

namespace martlet::train {

/// Bytes of memory that this process holds now.
int64_t resident_bytes();
/// Of these, what is mapped from files: the program's own, a model's, token shards.
int64_t resident_file_bytes();

/// The rows of a metrics file for steps before `step`, in order, without tokens and seconds, which it does
/// not have; up to a line that is cut or none of this kind. None where there is no such file.
std::vector<StepRow> metrics_before(const std::string& path, int64_t step);

/// Rows of metrics as JSON lines, each whole on disk before the next step: step, loss, learning_rate,
/// grad_norm, tokens_per_s, memory_bytes; where there is one, loss_scale; where the step was evaluated,
/// eval_loss.
class MetricsFile {
 public:
  /// Continues a file that is there when `from_step` > 0: rows of later steps, which a resumed run writes
  /// again, are taken away; else begins anew. Throws BadInput when it cannot be written.
  MetricsFile(std::string path, int64_t from_step);

  void write(const StepMetrics& metrics);

 private:
  std::string path_;
  std::ofstream file_;
};

}  // namespace martlet::train

// Any bytes as a recipe of `train`: refused by an Error, or a request whose every number is within its
// bounds.

#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/train_request.h"
#include "memory_file.h"

namespace {

using martlet::cli::TrainRequest;

bool within_bounds(const TrainRequest& request) {
  const auto within = [](double value, double low, double high) { return value >= low && value <= high; };
  return within(request.trainer.schedule.peak, 0, 1e3) && within(request.trainer.ema, 0, 1) &&
         within(request.validation, 0, 1) && within(request.optimizer_options.beta1, 0, 1) &&
         request.batches.seq >= 1 && request.batches.batch >= 1 && request.trainer.accumulate >= 1 &&
         request.run.steps >= 1 && request.run.keep_checkpoints >= 1 && request.seed >= 0 &&
         !request.data.empty();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace martlet;
  const MemoryFile file(data, size);
  cli::TrainRequest request;
  cli::Options options("train", "martlet train recipe.toml");
  request.declare(options);
  try {
    // The threads that a recipe asks for are not its to start here.
    if (!options.parse(std::vector<std::string>{file.path(), "--threads", "1"})) return 0;
    request.finish(false);
  } catch (const Error&) {
    return 0;
  }
  if (!within_bounds(request)) std::abort();
  return 0;
}

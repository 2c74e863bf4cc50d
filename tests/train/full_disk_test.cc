// Runs whose checkpoints and metrics cannot be written.

#include <csignal>
#include <sys/resource.h>

#include "base/expect_error.h"
#include "train/checkpoint.h"
#include "train/told_run.h"

namespace martlet::train {
namespace {

using ::testing::HasSubstr;

/// While it lives, no file of this process may grow past `bytes`: a write fails as on a full disk.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() { setrlimit(RLIMIT_FSIZE, &before_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
};

TEST(FullDisk, TrainingGoesOnSaysSoAndKeepsTheLastWholeCheckpoint) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  SmallRun first(folder / "a", 5, trainer_options());
  run_with(first, options, [](const StepMetrics& step) {
    if (step.step == 2) request_interrupt();
  });
  options.resume = true;
  options.checkpoint_seconds = 1e-9;
  SmallRun run(folder / "a", 5, trainer_options());
  std::optional<FileLimit> full;
  const Told told = run_with(run, options, [&](const StepMetrics& step) {
    if (step.step == 3) full.emplace(600);
  });
  full.reset();
  EXPECT_EQ(told.outcome.saved_steps, 3);
  EXPECT_EQ(told.outcome.steps_done, kSteps);
  EXPECT_THAT(told.text(), HasSubstr("could not be written and the one before stays"));
  EXPECT_THAT(told.text(), HasSubstr("training goes on without metrics"));
  SmallRun third(folder / "a", 5, trainer_options());
  options.checkpoint_seconds = 0;
  EXPECT_THAT(run_through(third, options).text(), HasSubstr("resumed at step 3"));
  EXPECT_EQ(third.values(), run.values());
}

TEST(FullDisk, AnotherReasonIsToldTooAndFailsOnlyTheLastCheckpoint) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  options.checkpoint_seconds = 1e-9;
  write_file(options.folder, "a file where the folder should be");
  SmallRun run(folder / "a", 5, trainer_options());
  int64_t steps = 0;
  std::string notes;
  clear_interrupt();
  bad_input_of([&] {
    run_training(
        *run.model, *run.trainer, options, [&](const StepMetrics&) { ++steps; },
        [&](const std::string& note) { notes += note; });
  });
  EXPECT_EQ(steps, kSteps);
  EXPECT_THAT(notes, HasSubstr("the checkpoint of step 1 could not be written"));
}

}  // namespace
}  // namespace martlet::train

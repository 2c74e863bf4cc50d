#include "train/run_log.h"

#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/expect_error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/temporary_folder.h"
#include "train/run_records.h"

namespace martlet::train {
namespace {

using ::testing::HasSubstr;

RunDescription description_of(const std::string& folder, const std::string& name = "stories") {
  RunDescription description;
  description.name = name;
  description.folder = folder;
  description.recipe.set("learning_rate", 0.001).set("data", Json::Array{Json("a.txt"), Json("b.txt")});
  description.version = "1.2.3 (abc)";
  description.machine.set("processor", "a fast one").set("cpus", 2);
  description.seed = 7;
  description.parameters = 1234;
  description.steps = 100;
  return description;
}

StepRow row_of(int64_t step) {
  StepRow row;
  row.step = step;
  row.seconds = 0.5 * static_cast<double>(step + 1);
  row.tokens = 64 * (step + 1);
  row.loss = 5.0 / static_cast<double>(step + 1);
  row.learning_rate = 1e-3;
  row.gradient_norm = 1.25;
  row.tokens_per_second = 128;
  row.memory_bytes = int64_t{3} << 30;
  if (step % 10 == 9) row.eval_loss = row.loss + 0.5;
  return row;
}

TEST(RunLog, WhatIsWrittenIsReadBack) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  {
    RunLog log(path, description_of("/runs/one"), false);
    for (int64_t step = 0; step < 25; ++step) log.write(row_of(step));
    log.finish(RunState::kDone, "");
  }
  RunRecords records(path);
  const LoggedRun run = records.find("last");
  EXPECT_EQ(run.description.name, "stories");
  EXPECT_EQ(run.description.folder, "/runs/one");
  EXPECT_TRUE(run.description.recipe == description_of("").recipe);
  EXPECT_TRUE(run.description.machine == description_of("").machine);
  EXPECT_EQ(run.description.version, "1.2.3 (abc)");
  EXPECT_EQ(run.description.seed, 7);
  EXPECT_EQ(run.description.parameters, 1234);
  EXPECT_EQ(run.description.steps, 100);
  EXPECT_EQ(run.state, RunState::kDone);
  EXPECT_EQ(run.steps, 25);
  EXPECT_EQ(run.tokens, 64 * 25);
  EXPECT_EQ(run.eval_loss, row_of(19).eval_loss);
  double mean = 0;
  for (int64_t step = 5; step < 25; ++step) mean += row_of(step).loss / 20;
  EXPECT_NEAR(run.loss, mean, 1e-12);
  const std::vector<StepRow> rows = records.rows(run.id);
  ASSERT_EQ(rows.size(), 25u);
  for (int64_t step = 0; step < 25; ++step) {
    const StepRow& got = rows[static_cast<size_t>(step)];
    const StepRow want = row_of(step);
    EXPECT_EQ(got.step, want.step);
    EXPECT_EQ(got.loss, want.loss);
    EXPECT_EQ(got.learning_rate, want.learning_rate);
    EXPECT_EQ(got.gradient_norm, want.gradient_norm);
    EXPECT_EQ(got.tokens_per_second, want.tokens_per_second);
    EXPECT_EQ(got.memory_bytes, want.memory_bytes);
    EXPECT_EQ(got.eval_loss, want.eval_loss);
  }
}

TEST(RunLog, ALossThatIsNotFiniteStaysSo) {
  const TemporaryFolder folder;
  RunLog log(folder / "runs.db", description_of("/runs/one"), false);
  StepRow row = row_of(0);
  row.loss = INFINITY;
  log.write(row);
  ASSERT_TRUE(log.flush());
  RunRecords records(folder / "runs.db");
  EXPECT_TRUE(std::isnan(records.rows(log.id()).front().loss));
  EXPECT_TRUE(std::isnan(records.find("last").loss));
}

TEST(RunLog, AResumedRunReplacesItsRowsFromThereOnAndGoesOnCounting) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  int64_t first = 0;
  {
    RunLog log(path, description_of("/runs/one"), false);
    first = log.id();
    for (int64_t step = 0; step < 10; ++step) log.write(row_of(step));
  }
  { RunLog other(path, description_of("/runs/other"), false); }
  RunLog log(path, description_of("/runs/one"), true);
  EXPECT_EQ(log.id(), first);
  for (int64_t step = 6; step < 8; ++step) {
    StepRow row = row_of(step - 6);  // counted from this process' start
    row.step = step;
    row.loss = 77;
    log.write(row);
  }
  log.finish(RunState::kDone, "");
  RunRecords records(path);
  const std::vector<StepRow> rows = records.rows(first);
  ASSERT_EQ(rows.size(), 8u);
  EXPECT_EQ(rows[5].loss, row_of(5).loss);
  EXPECT_EQ(rows[6].loss, 77);
  for (int64_t step = 0; step < 8; ++step) {
    EXPECT_EQ(rows[static_cast<size_t>(step)].tokens, 64 * (step + 1));
    EXPECT_EQ(rows[static_cast<size_t>(step)].seconds, 0.5 * static_cast<double>(step + 1));
  }
  EXPECT_EQ(records.all().size(), 2u);
}

TEST(RunLog, ARunThatGoesOnWithoutAStepLosesWhatAKilledOneLeft) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  {
    RunLog log(path, description_of("/runs/one"), false);
    for (int64_t step = 0; step < 5; ++step) log.write(row_of(step));
  }
  RunLog log(path, description_of("/runs/one"), true);
  log.begin_at(3);
  log.finish(RunState::kDone, "");
  RunRecords records(path);
  EXPECT_EQ(records.find("last").steps, 3);
  EXPECT_EQ(records.rows(log.id()).size(), 3u);
}

TEST(RunLog, ResumedFromItsFirstStepOrWithoutARowOfItsOwnItBeginsAnew) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  RunLog log(path, description_of("/runs/one"), true);
  for (int64_t step = 0; step < 3; ++step) log.write(row_of(step));
  ASSERT_TRUE(log.flush());
  RunLog again(path, description_of("/runs/one"), true);
  again.write(row_of(0));
  ASSERT_TRUE(again.flush());
  EXPECT_EQ(again.id(), log.id());
  EXPECT_EQ(RunRecords(path).rows(log.id()).size(), 1u);
}

TEST(RunLog, ARunThatGoesBackReplacesWhatItWroteOrGathered) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  for (const bool written : {true, false}) {
    RunLog log(path, description_of("/runs/one"), false);
    for (int64_t step = 0; step < 10; ++step) log.write(row_of(step));
    ASSERT_TRUE(!written || log.flush());
    log.write(row_of(4));
    ASSERT_TRUE(log.flush());
    const std::vector<StepRow> rows = RunRecords(path).rows(log.id());
    ASSERT_EQ(rows.size(), 5u);
    EXPECT_EQ(rows.back().step, 4);
  }
}

TEST(RunLog, RowsWaitInMemoryWhileAnotherConnectionWrites) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  RunLog log(path, description_of("/runs/one"), false);
  Database other(path, Database::Open::kExisting, 1);
  ASSERT_TRUE(other.begin());
  log.write(row_of(0));
  EXPECT_FALSE(log.flush());
  log.write(row_of(1));
  other.commit();
  EXPECT_TRUE(log.flush());
  EXPECT_EQ(RunRecords(path).rows(log.id()).size(), 2u);
}

/// Runs `work` in a process of its own, which ends by it or by exit.
template <typename Work>
pid_t in_a_process(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      work();
      _exit(0);
    } catch (...) {
      _exit(1);
    }
  }
  return child;
}

int status_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(RunLog, SeveralProcessesBeginAndWriteAtOnce) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  constexpr int kProcesses = 8;
  constexpr int64_t kSteps = 200;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i)
    children.push_back(in_a_process([&] {
      RunLog log(path, description_of("/runs/" + std::to_string(i)), false);
      for (int64_t step = 0; step < kSteps; ++step) {
        log.write(row_of(step));
        if (step % 10 == 0) log.flush();
      }
      log.finish(RunState::kDone, "");
    }));
  for (const pid_t child : children) EXPECT_EQ(status_of(child), 0);
  RunRecords records(path);
  const std::vector<LoggedRun> runs = records.all();
  ASSERT_EQ(runs.size(), size_t{kProcesses});
  for (const LoggedRun& run : runs) {
    EXPECT_EQ(run.state, RunState::kDone);
    EXPECT_EQ(records.rows(run.id).size(), static_cast<size_t>(kSteps));
  }
}

TEST(RunLog, AKilledRunIsBrokenOffAndKeepsWhatWasWritten) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  const pid_t child = in_a_process([&] {
    RunLog log(path, description_of("/runs/one"), false);
    for (int64_t step = 0; step < 5; ++step) log.write(row_of(step));
    log.flush();
    log.write(row_of(5));
    kill(getpid(), SIGKILL);
  });
  EXPECT_TRUE(WIFSIGNALED(status_of(child)));
  RunRecords records(path);
  const LoggedRun run = records.find("last");
  EXPECT_EQ(run.state, RunState::kBrokenOff);
  EXPECT_EQ(run.steps, 5);
  EXPECT_EQ(records.rows(run.id).size(), 5u);
}

TEST(RunLog, OneThatRunsIsRunningAndCannotBeRemoved) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  {
    const RunLog log(path, description_of("/runs/one"), false);
    RunRecords records(path);
    const LoggedRun run = records.find("last");
    EXPECT_EQ(run.state, RunState::kRunning);
    EXPECT_THAT(error_of(ErrorCode::kFailed, [&] { records.remove(run); }), HasSubstr("is running"));
  }
  RunLog log(path, description_of("/runs/one"), true);
  log.write(row_of(0));
  log.finish(RunState::kFailed, "no memory");
  RunRecords records(path);
  const LoggedRun run = records.find("last");
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.message, "no memory");
  records.remove(run);
  EXPECT_TRUE(records.all().empty());
  EXPECT_TRUE(records.rows(run.id).empty());
}

TEST(RunLog, DamageIsOneSentence) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  write_file(path, "This is no database, though it is long enough to have a header of one." +
                       std::string(5000, 'x'));
  for (const bool resume : {false, true})
    EXPECT_THAT(bad_input_of([&] { RunLog(path, description_of("/runs/one"), resume); }),
                testing::AllOf(HasSubstr(path), HasSubstr("move it away")));
  EXPECT_THAT(bad_input_of([&] { RunRecords{path}; }), HasSubstr("damaged"));
  EXPECT_THAT(bad_input_of([&] { RunRecords{folder / "none.db"}; }), HasSubstr("no log of runs"));
  EXPECT_THAT(error_of(ErrorCode::kFailed,
                       [&] { RunLog(folder / "no/such/folder.db", description_of("/a"), false); }),
              HasSubstr("unable to open"));
}

TEST(RunLog, DamageInTheMiddleIsTold) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  {
    RunLog log(path, description_of("/runs/one"), false);
    for (int64_t step = 0; step < 5000; ++step) log.write(row_of(step));
    log.finish(RunState::kDone, "");
  }
  std::string bytes = read_file(path);
  ASSERT_GT(bytes.size(), 100000u);
  for (size_t i = 4096; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 37);
  write_file(path, bytes);
  EXPECT_THAT(bad_input_of([&] { RunRecords(path).all(); }), HasSubstr("damaged"));
}

TEST(RunLog, AFileOfALaterVersionIsRefused) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  { RunLog log(path, description_of("/runs/one"), false); }
  Database(path, Database::Open::kExisting, 1).set_version(2);
  EXPECT_THAT(bad_input_of([&] { RunLog(path, description_of("/runs/one"), false); }),
              HasSubstr("version 2"));
}

TEST(RunRecords, AWordMeansANumberANameAFolderOrABeginning) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs.db";
  std::vector<int64_t> ids;
  for (const std::string name : {"stories", "stories-2", "poems", "poems"}) {
    RunLog log(path, description_of("/runs/" + name, name), false);
    ids.push_back(log.id());
  }
  RunRecords records(path);
  EXPECT_EQ(records.find("last").id, ids[3]);
  EXPECT_EQ(records.find(std::to_string(ids[1])).id, ids[1]);
  EXPECT_EQ(records.find("stories").id, ids[0]);
  EXPECT_EQ(records.find("stories-").id, ids[1]);
  EXPECT_EQ(records.find("/runs/poems").id, ids[3]);
  EXPECT_EQ(records.find("/runs/stories/").id, ids[0]);
  EXPECT_THAT(bad_input_of([&] { records.find("poems"); }), HasSubstr("means the runs 4, 3"));
  EXPECT_THAT(bad_input_of([&] { records.find("st"); }), HasSubstr("means the runs 2, 1"));
  EXPECT_THAT(bad_input_of([&] { records.find("storie5"); }), HasSubstr("did you mean stories?"));
}

TEST(ProcessMark, NamesAProcessForItsLifeOnly) {
  EXPECT_TRUE(process_runs(process_mark()));
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = in_a_process([&] {
    const std::string mark = process_mark();
    if (write(ends[1], mark.data(), mark.size()) < 0) _exit(2);
    pause();
  });
  char buffer[512];
  const ssize_t got = read(ends[0], buffer, sizeof buffer);
  ASSERT_GT(got, 0);
  const std::string mark(buffer, static_cast<size_t>(got));
  EXPECT_NE(mark, process_mark());
  EXPECT_TRUE(process_runs(mark));
  kill(child, SIGKILL);
  status_of(child);
  EXPECT_FALSE(process_runs(mark));
  close(ends[0]);
  close(ends[1]);
  // The same number, begun at another moment, or before the machine was started again.
  const std::string own = process_mark();
  EXPECT_FALSE(process_runs(own + "1"));
  std::string rebooted = own;
  rebooted[rebooted.find('/') + 1] = rebooted[rebooted.find('/') + 1] == '0' ? '1' : '0';
  EXPECT_FALSE(process_runs(rebooted));
  EXPECT_FALSE(process_runs("nonsense"));
}

}  // namespace
}  // namespace martlet::train

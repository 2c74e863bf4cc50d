// What ends a run of the program from outside: signals, which finish the step and save, and kill -9, which
// does not; the run goes on from both to the same bits.

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "base/json.h"
#include "base/random.h"
#include "run_program.h"
#include "support/chat_model.h"
#include "train/checkpoint.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

constexpr int kLongest = 60'000;  // ms that anything here may take

/// The program in a process of its own, its standard error in a file.
class Child {
 public:
  Child(const std::vector<std::string>& words, const std::string& err) {
    std::vector<const char*> pointers{MARTLET_PROGRAM};
    for (const std::string& word : words) pointers.push_back(word.c_str());
    pointers.push_back(nullptr);
    id_ = fork();
    if (id_ != 0) return;
    const int file = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDERR_FILENO);
    dup2(file, STDOUT_FILENO);
    execv(MARTLET_PROGRAM, const_cast<char* const*>(pointers.data()));
    _exit(127);
  }
  ~Child() {
    if (ended_) return;
    kill(id_, SIGKILL);
    waitpid(id_, &status_, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void signal(int number) const { kill(id_, number); }
  bool ended() {
    if (!ended_) ended_ = waitpid(id_, &status_, WNOHANG) == id_;
    return ended_;
  }
  /// Its exit code, or minus the signal that ended it.
  int code() {
    for (int waited = 0; !ended() && waited < kLongest; ++waited) usleep(1000);
    EXPECT_TRUE(ended_) << "it does not end";
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
  }

 private:
  pid_t id_ = 0;
  int status_ = 0;
  bool ended_ = false;
};

class TrainStops : public ::testing::Test {
 protected:
  TrainStops() {
    std::string rows;
    const Philox random(3);
    for (uint64_t row = 0; row < 200; ++row) {
      rows += "{\"ids\": [1";
      for (uint64_t i = 0; i < 20; ++i) rows += ", " + std::to_string(random.below(row * 20 + i, 60));
      rows += "]}\n";
    }
    write_file(path("ids.jsonl"), rows);
  }

  std::string path(const std::string& name) const { return scratch.path() + "/" + name; }
  std::vector<std::string> words(const std::string& name, int64_t steps,
                                 const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"train",
                                 "--init",
                                 model.path(),
                                 "--data",
                                 path("ids.jsonl"),
                                 "--seq",
                                 "16",
                                 "--batch",
                                 "2",
                                 "--steps",
                                 std::to_string(steps),
                                 "--out",
                                 path(name),
                                 "--metrics",
                                 path(name + ".jsonl"),
                                 "--ema",
                                 "0.95"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::unique_ptr<Child> start(const std::string& name, int64_t steps,
                               const std::vector<std::string>& more = {}) const {
    return std::make_unique<Child>(words(name, steps, more), path("err"));
  }
  int64_t rows_of(const std::string& name) const {
    const std::string file = path(name + ".jsonl");
    if (!file_exists(file)) return 0;
    const std::string text = read_file(file);
    return std::count(text.begin(), text.end(), '\n');
  }
  /// Until so many rows of metrics are there.
  void wait_for_rows(const std::string& name, int64_t count, Child& child) const {
    for (int waited = 0; rows_of(name) < count && !child.ended() && waited < kLongest; ++waited) usleep(1000);
  }
  void wait_for_checkpoint(const std::string& name, Child& child) const {
    const auto there = [&] { return !train::checkpoints_of(path(name)).empty(); };
    for (int waited = 0; !there() && !child.ended() && waited < kLongest; ++waited) usleep(1000);
  }
  /// Step and loss of every row.
  std::string losses_of(const std::string& name) const {
    std::string losses;
    const std::string text = read_file(path(name + ".jsonl"));
    for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1) {
      const Json row = Json::parse(text.substr(begin, text.find('\n', begin) - begin), "row");
      losses += row.at("step").dump() + " " + row.at("loss").dump() + "\n";
    }
    return losses;
  }

  /// The same of the log of runs, which writes once a second: longer than a process lives that is killed
  /// here.
  std::string logged_losses_of(const std::string& name) const {
    std::string losses;
    const Json shown = Json::parse(run(scratch, "runs show " + path(name) + " --json").out, name);
    for (const Json& row : shown.at("rows").array())
      losses += row.at("step").dump() + " " + row.at("loss").dump() + "\n";
    return losses;
  }

  Scratch scratch;
  testing::ChatModelDirectory model{1};
};

TEST_F(TrainStops, BothSignalsFinishTheStepSaveAndStop) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string name = "run" + std::to_string(signal);
    const auto child = start(name, 1'000'000);
    wait_for_rows(name, 5, *child);
    child->signal(signal);
    EXPECT_EQ(child->code(), 130);
    const int64_t rows = rows_of(name);
    ASSERT_GE(rows, 5);
    EXPECT_THAT(read_file(path("err")),
                HasSubstr("stopped after step " + std::to_string(rows) + " of 1000000"));
    EXPECT_TRUE(file_exists(path(name) + fmt::format("/checkpoints/step-{:08}/state.json", rows)));
    EXPECT_FALSE(file_exists(path(name) + "/config.json"));
  }
}

TEST_F(TrainStops, ASecondSignalStopsAtOnce) {
  // A step of minutes.
  const auto child = start("run", 10, {"--accumulate", "60k", "--checkpoint-every", "0"});
  const std::string tokens = path("run") + "/tokens/tokens.json";
  for (int waited = 0; !file_exists(tokens) && waited < kLongest; ++waited) usleep(1000);
  usleep(300'000);
  child->signal(SIGTERM);
  usleep(300'000);
  EXPECT_FALSE(child->ended()) << "the first lets the step finish";
  child->signal(SIGINT);
  for (int waited = 0; !child->ended() && waited < 2000; ++waited) usleep(1000);
  EXPECT_EQ(child->code(), 130);
  EXPECT_EQ(rows_of("run"), 0);
}

class KilledRun : public TrainStops, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(DTypes, KilledRun, ::testing::Values("f32", "bf16", "f16"));

TEST_P(KilledRun, KilledAtAnyInstantItEndsWithTheSameBits) {
  // Steps long enough for checkpoints to be written meanwhile, and of one rate: then the run can be so long
  // that it is never done before it is killed, however late this process comes to that.
  const std::vector<std::string> recipe{"--accumulate", "6", "--schedule", "constant", "--dtype", GetParam()};
  std::vector<std::string> with_checkpoints = recipe;
  for (const char* word : {"--checkpoint-every", "0.01", "--resume"}) with_checkpoints.emplace_back(word);
  const Philox random(17);
  for (uint64_t kill_number = 0; kill_number < 3; ++kill_number) {
    const auto child = start("killed", 1'000'000, with_checkpoints);
    if (kill_number > 0) wait_for_checkpoint("killed", *child);
    wait_for_rows("killed", 10 + static_cast<int64_t>(random.below(kill_number, 75)), *child);
    usleep(static_cast<useconds_t>(random.below(100 + kill_number, 20'000)));
    child->signal(SIGKILL);
    EXPECT_EQ(child->code(), -SIGKILL) << read_file(path("err"));
  }
  const int64_t steps = rows_of("killed") + 40;
  EXPECT_EQ(start("killed", steps, with_checkpoints)->code(), 0) << read_file(path("err"));
  EXPECT_THAT(read_file(path("err")), HasSubstr("resumed at step"));
  EXPECT_EQ(start("whole", steps, recipe)->code(), 0) << read_file(path("err"));
  EXPECT_EQ(read_file(path("killed") + "/model.safetensors"),
            read_file(path("whole") + "/model.safetensors"));
  EXPECT_EQ(losses_of("killed"), losses_of("whole"));
  EXPECT_EQ(logged_losses_of("killed"), losses_of("whole"))
      << "no step is missing or twice in the log of runs";
}

}  // namespace
}  // namespace martlet::cli

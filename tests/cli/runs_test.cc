// Training leaves a log, curves and event files, and the verb `runs` shows them.

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>

#include "base/display.h"
#include "base/json.h"
#include "run_program.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Runs : public ::testing::Test {
 protected:
  Runs() { write_file(scratch.path() + "/text.txt", "The cat sat on the mat and then it ran away again.\n"); }

  std::string path(const std::string& name) const { return scratch.path() + "/" + name; }
  Outcome train(const std::string& name, const std::string& words) const {
    return run(scratch, "train --init " + model.path() + " --out " + path(name) +
                            " --seq 32 --batch 2 --data " + path("text.txt") + " " + words);
  }
  Outcome runs(const std::string& words) const { return run(scratch, "runs " + words); }
  Json json_of(const std::string& words) const {
    const Outcome outcome = runs(words + " --json");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out, words);
  }

  Scratch scratch;
  testing::ChatModelDirectory model{1};
};

TEST_F(Runs, AreListedShownComparedAndRemoved) {
  EXPECT_THAT(runs("").out, HasSubstr("No run has been logged yet"));
  ASSERT_EQ(train("one", "--steps 3 --seed 5 --learning-rate 0.001").code, 0);
  const Outcome second = train(
      "two", "--steps 4 --learning-rate 0.002 --name again --eval-every 2 --eval-data " + path("text.txt"));
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("`martlet runs show 2`"));

  const Json list = json_of("");
  ASSERT_EQ(list.array().size(), 2u);
  const Json& newest = list.array()[0];
  EXPECT_EQ(newest.at("name").string(), "again");
  EXPECT_EQ(newest.at("state").string(), "done");
  EXPECT_EQ(newest.at("steps").integer(), 4);
  EXPECT_TRUE(newest.at("eval_loss").is_number());
  EXPECT_EQ(newest.at("recipe").at("learning_rate").real(), 0.002);
  EXPECT_EQ(newest.at("recipe").at("beta2").real(), 0.95);
  const Json& oldest = list.array()[1];
  EXPECT_EQ(oldest.at("name").string(), "one");
  EXPECT_EQ(oldest.at("seed").integer(), 5);
  EXPECT_TRUE(oldest.at("eval_loss").is_null());
  EXPECT_GT(oldest.at("parameters").integer(), 1000);
  EXPECT_TRUE(oldest.at("machine").at("cpus").is_integer());
  EXPECT_THAT(runs("").out, ::testing::AllOf(HasSubstr("again"), HasSubstr("4/4"), HasSubstr("HELD OUT")));

  const Outcome shown = runs("show one");
  EXPECT_THAT(shown.out,
              ::testing::AllOf(HasSubstr("Run 1: one"), HasSubstr("learning_rate"), HasSubstr("loss, nats")));
  EXPECT_EQ(json_of("show last").at("rows").array().size(), 4u);
  EXPECT_EQ(json_of("show " + path("one")).at("id").integer(), 1);

  const Outcome compared = runs("compare one again --x tokens");
  EXPECT_THAT(compared.out,
              ::testing::AllOf(HasSubstr("0.001"), HasSubstr("0.002"), HasSubstr("Run 2: again")));
  EXPECT_THAT(compared.out, Not(HasSubstr("beta2")));

  EXPECT_EQ(runs("remove one").code, 0);
  EXPECT_EQ(json_of("").array().size(), 1u);
  EXPECT_TRUE(is_directory(path("one")));
}

TEST_F(Runs, DrawWithinTheWidthAndInAsciiWhereAsked) {
  ASSERT_EQ(train("one", "--steps 3").code, 0);
  for (const std::string draw : {"braille", "ascii"}) {
    const Outcome shown = runs("show last --draw " + draw);
    std::string line;
    bool high = false;
    for (const char c : shown.out) {
      high = high || (c & 0x80) != 0;
      if (c != '\n') {
        line += c;
        continue;
      }
      EXPECT_LE(text_columns(line), 80) << line;
      line.clear();
    }
    EXPECT_EQ(high, draw == "braille");
  }
}

TEST_F(Runs, AreWrittenAsPicturesAndPages) {
  ASSERT_EQ(train("one", "--steps 3").code, 0);
  EXPECT_THAT(read_file(path("one/curve.svg")), ::testing::StartsWith("<svg"));
  EXPECT_THAT(read_file(path("one/curve.html")), HasSubstr("learning_rate"));
  ASSERT_EQ(runs("show one --svg " + path("a.svg") + " --html " + path("a.html")).code, 0);
  EXPECT_THAT(read_file(path("a.svg")), HasSubstr("Run 1: one"));
  EXPECT_THAT(read_file(path("a.html")), HasSubstr("Norm of the gradient"));
  ASSERT_EQ(runs("compare one one --html " + path("b.html")).code, 0);
  EXPECT_THAT(read_file(path("b.html")), HasSubstr("Results"));
}

TEST_F(Runs, AResumedRunGoesOnInItsOwnRow) {
  ASSERT_EQ(train("one", "--steps 6").code, 0);
  std::filesystem::remove(path("one/config.json"));
  const Outcome resumed = train("one", "--steps 9 --resume");
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  const Json list = json_of("");
  ASSERT_EQ(list.array().size(), 1u);
  const Json shown = json_of("show last");
  ASSERT_EQ(shown.at("rows").array().size(), 9u);
  int64_t tokens = 0;
  for (size_t step = 0; step < 9; ++step) {
    const Json& row = shown.at("rows").array()[step];
    EXPECT_EQ(row.at("step").integer(), static_cast<int64_t>(step));
    EXPECT_GT(row.at("tokens").integer(), tokens);
    tokens = row.at("tokens").integer();
  }
}

TEST_F(Runs, ADamagedOrUnreachableLogDoesNotStopTraining) {
  write_file(path("bad.db"), std::string(5000, 'x'));
  Outcome outcome = train("one", "--steps 2 --runs " + path("bad.db"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              ::testing::AllOf(HasSubstr("goes on without the log of runs"), HasSubstr("move it away")));
  EXPECT_TRUE(file_exists(path("one/curve.svg")));
  outcome = train("two", "--steps 2 --runs " + path("text.txt") + "/runs.db");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("goes on without the log of runs"));
  EXPECT_EQ(runs("--runs " + path("bad.db")).code, 3);
}

TEST_F(Runs, NoLogIsKeptWhereNoneIsWanted) {
  const Outcome outcome = train("one", "--steps 2 --no-log");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, Not(HasSubstr("runs show")));
  EXPECT_THAT(runs("").out, HasSubstr("No run has been logged yet"));
}

TEST_F(Runs, TheEnvironmentNamesTheLog) {
  setenv("MARTLET_RUNS", path("mine.db").c_str(), 1);
  ASSERT_EQ(train("one", "--steps 2").code, 0);
  EXPECT_EQ(json_of("").array().size(), 1u);
  unsetenv("MARTLET_RUNS");
  EXPECT_EQ(json_of("").array().size(), 0u);
  EXPECT_EQ(json_of("--runs " + path("mine.db")).array().size(), 1u);
}

TEST_F(Runs, EventFilesAreWrittenWhereAsked) {
  ASSERT_EQ(train("one", "--steps 2 --tensorboard " + path("events")).code, 0);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path("events")))
    files += entry.path().filename().string().starts_with("events.out.tfevents.") ? 1 : 0;
  EXPECT_EQ(files, 1);
}

TEST_F(Runs, WrongWordsAreToldInOneSentence) {
  ASSERT_EQ(train("stories", "--steps 2").code, 0);
  EXPECT_THAT(runs("show storeis").err, HasSubstr("did you mean stories?"));
  EXPECT_EQ(runs("show storeis").code, 3);
  EXPECT_EQ(runs("compare stories").code, 2);
  EXPECT_EQ(runs("draw").code, 2);
  EXPECT_EQ(runs("show 1 1").code, 2);
}

}  // namespace
}  // namespace martlet::cli

// `do`: a recipe's tables in order.

#include <gmock/gmock.h>

#include "base/json.h"
#include "run_program.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Do : public ::testing::Test {
 protected:
  Do() { write_file(path("text.txt"), "One two three four five six seven.\n"); }

  std::string path(const std::string& name) const { return scratch.path() + "/" + name; }
  Outcome run_recipe(const std::string& text, const std::string& words = "") const {
    write_file(path("life.toml"), text);
    return run(scratch, "do " + path("life.toml") + " " + words);
  }
  std::string training() const {
    return "[model]\ninit = \"" + model.path() + "\"\n[data]\ndata = [\"" + path("text.txt") +
           "\"]\nseq = 32\nbatch = 2\n[train]\nsteps = 3\nout = \"" + path("made") + "\"\n";
  }
  std::string table(const std::string& name, const std::string& keys) const {
    return "[" + name + "]\nmodel = \"" + path("made") + "\"\n" + keys + "\n";
  }

  Scratch scratch;
  testing::ChatModelDirectory model{1};
};

TEST_F(Do, TablesAreDoneInTheirOrder) {
  const Outcome outcome =
      run_recipe(training() + table("eval.loss", "file = \"" + path("text.txt") + "\"\njson = true") +
                 table("run", "prompt = [\"One\", \"Two\"]\ntokens = 3\ntemp = 0\njson = true"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const size_t trained = outcome.out.find("3 steps; the model is in"), loss = outcome.out.find("{\"loss\": "),
               first = outcome.out.find("{\"ids\": ");
  EXPECT_LT(trained, loss);
  EXPECT_LT(loss, first);
  EXPECT_LT(first, outcome.out.size());
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("[train]"), HasSubstr("[eval.loss]"), HasSubstr("[run]")));
  // What it printed is what the verb itself does.
  const Outcome alone = run(scratch, "run " + path("made") + " -p One -p Two -n 3 --temp 0 --json");
  const auto ids = [](const std::string& text, size_t at) {
    return text.substr(at, text.find(']', at) - at);
  };
  EXPECT_EQ(ids(outcome.out, first), ids(alone.out, 0));
}

TEST_F(Do, AMistakeInALaterTableShowsBeforeAnythingIsDone) {
  for (const auto& [last, sentence] : std::vector<std::pair<std::string, std::string>>{
           {table("run", "promt = \"One\""), "unknown key 'promt'; did you mean 'prompt'?"},
           {table("run", "tokens = \"many\""), "wants a whole number"},
           {"[run]\nprompt = \"One\"\n", "run needs MODEL"},
           {table("trian", ""), "no verb has the table [trian]; did you mean [train]?"},
           {table("chat", ""), "a recipe does not do [chat]; run `martlet chat` by itself"},
           {table("eval.los", ""), "eval knows loss and tinyworld, not 'los'"}}) {
    const Outcome outcome = run_recipe(training() + last);
    EXPECT_THAT(outcome.err, HasSubstr(sentence));
    EXPECT_NE(outcome.code, 0);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_FALSE(name_exists(path("made"))) << last;
  }
}

TEST_F(Do, ATableThatFailsEndsItWithItsCode) {
  const Outcome outcome = run_recipe(training() + table("eval.loss", "file = \"" + path("none.txt") + "\"") +
                                     table("run", "prompt = \"One\""));
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("none.txt"), Not(HasSubstr("[run]"))));
}

TEST_F(Do, CheckingDoesNothing) {
  const Outcome good = run_recipe(training(), "--check");
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_FALSE(name_exists(path("made")));
  EXPECT_EQ(run_recipe(training() + "stepz = 3\n", "--check").code, 3);
  EXPECT_EQ(run_recipe("[model]\ninit = \"x\"\n").code, 3);
  EXPECT_EQ(run_recipe("steps = 3\n").code, 3);
  EXPECT_EQ(run(scratch, "do").code, 2);
}

}  // namespace
}  // namespace martlet::cli

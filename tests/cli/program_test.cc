#include <gmock/gmock.h>

#include "cli/verb.h"
#include "run_program.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Program, HelpListsEveryVerbAndEachVerbHelpsWithAnExample) {
  const Scratch scratch;
  const Outcome all = run(scratch, "--help");
  EXPECT_EQ(all.code, 0);
  for (const Verb& verb : verbs()) {
    EXPECT_THAT(all.out, HasSubstr("  " + std::string(verb.name) + " "));
    EXPECT_THAT(all.out, HasSubstr(std::string(verb.summary)));
    const Outcome one = run(scratch, std::string(verb.name) + " --help");
    EXPECT_EQ(one.code, 0) << verb.name;
    EXPECT_THAT(one.out, HasSubstr("Example:\n  "));
    EXPECT_THAT(one.out, HasSubstr("martlet " + std::string(verb.name)));
    EXPECT_THAT(one.out, HasSubstr(std::string(verb.summary)));
  }
}

TEST(Program, TellsErrorsInOneLineWithTheirCodes) {
  const Scratch scratch;
  Outcome outcome = run(scratch, "modles");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, StartsWith("martlet: there is no verb 'modles' (did you mean models?)"));
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1);
  EXPECT_EQ(run(scratch, "").code, 2);
  EXPECT_EQ(run(scratch, "models --nothing").code, 2);
  EXPECT_EQ(run(scratch, "models remove absent").code, 3);
  outcome = run(scratch, "pull smolm2");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean smollm2?"));
}

TEST(Program, SaysWhenOutputCannotBeWritten) {
  const int status = std::system((std::string(MARTLET_PROGRAM) + " --help >/dev/full 2>/dev/null").c_str());
  EXPECT_EQ(WEXITSTATUS(status), 4);
}

TEST(Program, PullsAFileListsItAndRemovesIt) {
  const Scratch scratch;
  write_file(scratch.path() + "/tiny.gguf", "not weights");
  EXPECT_EQ(run(scratch, "pull " + scratch.path() + "/tiny.gguf --as mine").code, 0);
  EXPECT_THAT(run(scratch, "models").out, HasSubstr("mine"));
  EXPECT_THAT(run(scratch, "models --json").out, HasSubstr("\"bytes\": 11"));
  EXPECT_EQ(run(scratch, "models remove mine").code, 0);
  EXPECT_EQ(run(scratch, "models --json").out, "[]\n");
}

}  // namespace
}  // namespace martlet::cli

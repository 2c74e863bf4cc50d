#include <csignal>
#include <gmock/gmock.h>
#include <unistd.h>

#include "cli/verb.h"
#include "run_program.h"
#include "support/chat_model.h"

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

TEST(Program, HelpIsAVerbToo) {
  const Scratch scratch;
  EXPECT_EQ(run(scratch, "help").out, run(scratch, "--help").out);
  EXPECT_EQ(run(scratch, "help chat").out, run(scratch, "chat --help").out);
  EXPECT_EQ(run(scratch, "help chta").code, 2);
}

TEST(Program, CtrlCEndsAWaitForStandardInput) {
  const testing::ChatModelDirectory model(1);
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipes[0], STDIN_FILENO);
    execl(MARTLET_PROGRAM, "martlet", "tokenize", model.path().c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  // It may not be waiting yet: a first signal before its handler stands would end it in another way.
  usleep(500000);
  kill(child, SIGINT);
  for (int i = 0; i < 100 && waitpid(child, &status, WNOHANG) == 0; ++i) usleep(50000);
  kill(child, SIGKILL);
  close(pipes[0]);
  close(pipes[1]);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
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
  EXPECT_THAT(run(scratch, "models remove mine").out, HasSubstr("mine was removed"));
  EXPECT_EQ(run(scratch, "models --json").out, "[]\n");
}

}  // namespace
}  // namespace martlet::cli

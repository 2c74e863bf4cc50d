// `quickstart train` in miniature: what it says and what it leaves.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sstream>
#include <thread>
#include <unistd.h>

#include "base/json.h"
#include "cli/first_tokenizer.h"
#include "data/document.h"
#include "infer/language_model.h"
#include "run_program.h"
#include "text/chat_template.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kMiniature = " --model hidden=32,layers=1,heads=2,tied=true,context=512 --threads 1";

std::vector<Json> metrics_of(const std::string& folder) {
  std::vector<Json> rows;
  std::istringstream lines(read_file(folder + "/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) rows.push_back(Json::parse(line, "metrics"));
  return rows;
}

class QuickstartTrain : public ::testing::Test {
 protected:
  // What is trained here belongs in no person's log of runs.
  QuickstartTrain() { setenv("MARTLET_RUNS", (scratch_.path() + "/runs.db").c_str(), 1); }
  ~QuickstartTrain() override { unsetenv("MARTLET_RUNS"); }

  Outcome train(const std::string& words) { return run(scratch_, "quickstart train " + words + kMiniature); }
  std::string folder(const std::string& name) const { return scratch_.path() + "/" + name; }

  Scratch scratch_;
};

TEST_F(QuickstartTrain, LeavesAModelThatEveryVerbReads) {
  const std::string out = folder("first");
  const Outcome outcome = train("--steps 24 --people 8 --questions 12 --out " + out);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("8 people in 6 towns"));
  EXPECT_THAT(outcome.out, HasSubstr("of 12 right"));
  EXPECT_THAT(outcome.out, HasSubstr("95 % interval"));
  EXPECT_THAT(outcome.out, HasSubstr("> "));
  EXPECT_THAT(outcome.out, HasSubstr("martlet chat " + out));

  const std::vector<Json> rows = metrics_of(out);
  ASSERT_EQ(rows.size(), 24u);
  std::vector<double> held_out;
  for (const Json& row : rows)
    if (const Json* loss = row.find("eval_loss")) held_out.push_back(loss->real());
  ASSERT_GE(held_out.size(), 6u);
  EXPECT_LT(held_out.back(), held_out.front() - 0.5) << "the held-out loss falls";

  // Its score can be asked for again, and is the one that was printed.
  const Outcome score = run(scratch_, "eval tinyworld " + out + " --people 8 --questions 12");
  EXPECT_EQ(score.code, 0) << score.err;
  EXPECT_THAT(outcome.out, HasSubstr(score.out));
  EXPECT_EQ(run(scratch_, "inspect " + out).code, 0);
  EXPECT_EQ(run(scratch_, "run " + out + " -p Anna -n 3").code, 0);
  EXPECT_EQ(Json::parse_file(out + "/score.json").at("total").integer(), 12);
  EXPECT_THAT(read_file(out + "/curve.svg"), HasSubstr("<svg"));
  EXPECT_THAT(read_file(out + "/curve.html"), HasSubstr("<svg"));
  // The recipe is one that `train` takes.
  const Outcome again = run(scratch_, "train " + out + "/recipe.toml --steps 2 --metrics " + folder("m") +
                                          " --out " + folder("again"));
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_TRUE(file_exists(folder("again") + "/model.safetensors"));

  const Outcome taken = train("--steps 2 --out " + out);
  EXPECT_EQ(taken.code, 3);
  EXPECT_THAT(taken.err, HasSubstr("is there already"));
}

TEST_F(QuickstartTrain, LearnsAPersonsOwnText) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "The swallow flies over the sea and never lands. ";
  write_file(folder("own.txt"), text + "\n" + text);
  const std::string out = folder("own-model");
  const Outcome outcome = train("--steps 8 --data " + folder("own.txt") + " --out " + out);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("The swallow"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("right")));
  EXPECT_TRUE(file_exists(out + "/model.safetensors"));
  // Nothing is lost and nothing is in both parts.
  std::string all;
  size_t held_out = 0;
  for (const char* part : {"train", "held-out"}) {
    std::istringstream lines(read_file(out + "/text/" + part + ".jsonl"));
    for (std::string line; std::getline(lines, line);) {
      all += Json::parse(line, part).at("text").string();
      held_out += std::string(part) == "held-out" ? 1 : 0;
    }
  }
  EXPECT_EQ(all.size(), 2 * text.size() + 1);
  EXPECT_GE(held_out, 1u);

  write_file(folder("short.txt"), "Too short.");
  const Outcome refused = train("--steps 2 --data " + folder("short.txt") + " --out " + folder("short"));
  EXPECT_EQ(refused.code, 3);
  EXPECT_THAT(refused.err, HasSubstr("too few to learn from"));
  EXPECT_FALSE(name_exists(folder("short")));
}

TEST_F(QuickstartTrain, AnInterruptedRunGoesOn) {
  const std::string out = folder("stopped");
  const std::string program = MARTLET_PROGRAM;
  const pid_t child = fork();
  if (child == 0) {
    const int nowhere = open("/dev/null", O_RDWR);
    for (int descriptor = 0; descriptor < 3; ++descriptor) dup2(nowhere, descriptor);
    execl(program.c_str(), program.c_str(), "quickstart", "train", "--steps", "150", "--people", "8",
          "--model", "hidden=32,layers=1,heads=2,tied=true,context=512", "--questions", "2", "--threads", "1",
          "--out", out.c_str(), nullptr);
    _exit(127);
  }
  const std::string metrics = out + "/metrics.jsonl";
  for (int i = 0; i < 3000 && (!file_exists(metrics) || read_file(metrics).empty()); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  const size_t done = metrics_of(out).size();
  EXPECT_LT(done, 150u);
  EXPECT_FALSE(file_exists(out + "/config.json")) << "no half model under its name";

  const Outcome resumed = train("--resume --out " + out);
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("of 2 right"));
  const std::vector<Json> rows = metrics_of(out);
  ASSERT_EQ(rows.size(), 150u);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].at("step").integer(), static_cast<int64_t>(i));
}

TEST_F(QuickstartTrain, SaysWhatItCannotDo) {
  const Outcome nothing = train("--resume --out " + folder("none"));
  EXPECT_EQ(nothing.code, 3);
  EXPECT_THAT(nothing.err, HasSubstr("no run to go on with"));
  const Outcome unknown = run(scratch_, "quickstart trian");
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("talk and train"));
  EXPECT_EQ(train("--data " + folder("missing.txt") + " --out " + folder("x")).code, 3);
  EXPECT_THAT(run(scratch_, "quickstart --help").out, HasSubstr("train:"));
}

TEST(FirstTokenizer, NamesAreTheSameTokenWhereverTheyStand) {
  const Scratch scratch;
  make_first_tokenizer({"tinyworld:documents=10000"}, 2000, scratch.path(), no_progress());
  const text::Tokenizer tokenizer = infer::load_tokenizer(scratch.path());
  data::Document document;
  document.form = data::Document::Form::kMessages;
  const text::ChatFormat format = text::ChatFormat::load(scratch.path());
  const auto ids = [&](const std::string& question, const std::string& reply) {
    Json user, assistant;
    user.set("role", "user").set("content", question);
    assistant.set("role", "assistant").set("content", reply);
    return tokenizer.encode(format.choose(false).render(Json(Json::Array{user, assistant}), {}),
                            {.add_special_tokens = false});
  };
  for (const auto& [name, question, reply] :
       std::vector<std::array<std::string, 3>>{{" Linda", "Where does Linda live?", "Linda lives in Sunton."},
                                               {"琳达", "琳达的家在哪里？", "琳达住在太阳镇。"}}) {
    const std::vector<int32_t> name_ids = tokenizer.encode(name);
    ASSERT_EQ(name_ids.size(), 1u) << name;
    const std::vector<int32_t> all = ids(question, reply);
    EXPECT_EQ(std::count(all.begin(), all.end(), name_ids.front()), 2) << question;
    // A role is one token, and a reply reads as it was written.
    EXPECT_EQ(all.front(), tokenizer.id("<|user|>"));
    EXPECT_EQ(all.back(), tokenizer.id("<|end|>"));
    const auto turn = std::find(all.begin(), all.end(), *tokenizer.id("<|assistant|>"));
    ASSERT_NE(turn, all.end());
    EXPECT_EQ(tokenizer.decode(std::vector<int32_t>(turn + 1, all.end() - 1)), reply);
  }
}

}  // namespace
}  // namespace martlet::cli

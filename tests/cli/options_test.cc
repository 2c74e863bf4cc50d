#include "cli/options.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "scratch.h"

namespace martlet::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Declared {
  std::string model, schedule = "cosine", out;
  std::vector<std::string> prompts;
  int64_t steps = 10;
  uint64_t memory = 0;
  double temperature = 1.0;
  bool json = false;
  Options options{"train", "martlet train tiny --steps 4k"};

  Declared() {
    options.positional("MODEL", model, "the model")
        .texts("-p,--prompt", "TEXT", prompts, "a prompt")
        .count("-n,--steps", "N", steps, "steps", 1, 100000)
        .size("--memory", "SIZE", memory, "limit")
        .real("--temperature", "X", temperature, "heat", 0, 10)
        .choice("--schedule", schedule, {"constant", "cosine"}, "shape")
        .text("--out", "DIR", out, "folder")
        .flag("--json", json, "for programs");
  }
  bool parse(const std::vector<std::string>& words) { return options.parse(words); }
};

std::string complaint(const std::vector<std::string>& words) {
  Declared declared;
  try {
    declared.parse(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Options, ReadsEveryKindAsPeopleWriteIt) {
  Declared d;
  ASSERT_TRUE(d.parse({"tiny", "--steps", "4k", "--memory=6G", "--temperature", "0.5", "--schedule",
                       "constant", "--json", "-p", "one", "-p", "two"}));
  EXPECT_EQ(d.model, "tiny");
  EXPECT_EQ(d.steps, 4000);
  EXPECT_EQ(d.memory, uint64_t{6} << 30);
  EXPECT_EQ(d.temperature, 0.5);
  EXPECT_EQ(d.schedule, "constant");
  EXPECT_TRUE(d.json);
  EXPECT_THAT(d.prompts, ElementsAre("one", "two"));
  EXPECT_TRUE(d.options.given("steps"));
  EXPECT_FALSE(d.options.given("out"));
}

TEST(Options, TellEveryValueAsItStands) {
  Declared d;
  ASSERT_TRUE(
      d.parse({"tiny", "--steps", "4k", "--memory=1k", "--temperature", "0.5", "--json", "-p", "one"}));
  const Json values = d.options.values();
  EXPECT_EQ(values.at("steps").integer(), 4000);
  EXPECT_EQ(values.at("memory").integer(), 1024);
  EXPECT_EQ(values.at("temperature").real(), 0.5);
  EXPECT_EQ(values.at("schedule").string(), "cosine");
  EXPECT_TRUE(values.at("json").boolean());
  EXPECT_EQ(values.at("prompt").dump(), "[\"one\"]");
  EXPECT_EQ(values.at("out").string(), "");
  // What was told can be given again.
  Declared again;
  again.options.fill_from(values, "the log");
  EXPECT_TRUE(again.options.values() == values);
}

TEST(Options, AValueMayBeginWithADashOrBeEmpty) {
  Declared d;
  ASSERT_TRUE(d.parse({"tiny", "-p", "- a list", "-p", "", "-p", "--steps", "-p", "[1, 2]", "-p", "a,b"}));
  EXPECT_THAT(d.prompts, ElementsAre("- a list", "", "--steps", "[1, 2]", "a,b"));
}

TEST(Options, KeepsDefaultsAndTheLastOfSeveral) {
  Declared d;
  ASSERT_TRUE(d.parse({"tiny", "--out", "a", "--out", "b"}));
  EXPECT_EQ(d.steps, 10);
  EXPECT_EQ(d.out, "b");
}

TEST(Options, AChoiceMayBeWrittenInCapitals) {
  Declared d;
  ASSERT_TRUE(d.parse({"tiny", "--schedule", "CONSTANT"}));
  EXPECT_EQ(d.schedule, "constant");
}

TEST(Options, RefusesWithWhatWasExpected) {
  EXPECT_THAT(complaint({}), HasSubstr("needs MODEL"));
  EXPECT_THAT(complaint({"tiny", "--stepz", "3"}), HasSubstr("did you mean --steps?"));
  EXPECT_THAT(complaint({"tiny", "--output", "f"}), HasSubstr("did you mean --out?"));
  EXPECT_THAT(complaint({"tiny", "--steps", "many"}), HasSubstr("--steps wants a whole number"));
  EXPECT_THAT(complaint({"tiny", "--steps", "0"}), HasSubstr("from 1 to 100000"));
  EXPECT_THAT(complaint({"tiny", "--memory", "much"}), HasSubstr("--memory wants a size"));
  EXPECT_THAT(complaint({"tiny", "--temperature", "nan"}), HasSubstr("from 0 to 10"));
  EXPECT_THAT(complaint({"tiny", "--schedule", "wavy"}), HasSubstr("constant, cosine"));
  EXPECT_THAT(complaint({"tiny", "another"}), HasSubstr("no place for 'another'"));
  EXPECT_THAT(complaint({"tiny", "--steps"}), HasSubstr("--steps"));
}

TEST(Options, HelpNamesEveryOptionAndAnExample) {
  Declared d;
  const std::string help = d.options.help();
  for (const Option& option : d.options.declarations()) {
    EXPECT_THAT(help, HasSubstr(option.help));
    EXPECT_THAT(help, HasSubstr(option.metavar));
  }
  EXPECT_THAT(help, HasSubstr("martlet train tiny --steps 4k"));
  EXPECT_THAT(help, HasSubstr("-n, --steps N"));
}

TEST(Options, ARecipeFillsWhatTheCommandLineLeftOpen) {
  Declared d;
  ASSERT_TRUE(d.parse({"tiny", "--steps", "7"}));
  const Json table = Json::parse(
      R"({"steps": 9, "out": "there", "json": true, "temperature": 2.5, "memory": "2k", "prompt": ["x", "y"]})",
      "recipe");
  d.options.fill_from(table, "recipe.toml");
  EXPECT_EQ(d.steps, 7);
  EXPECT_EQ(d.out, "there");
  EXPECT_TRUE(d.json);
  EXPECT_EQ(d.temperature, 2.5);
  EXPECT_EQ(d.memory, 2048u);
  EXPECT_THAT(d.prompts, ElementsAre("x", "y"));
}

class RecipeFile : public ::testing::Test {
 protected:
  std::string write(const std::string& text) const {
    write_file(scratch_.path() + "/r.toml", text);
    return scratch_.path() + "/r.toml";
  }
  Scratch scratch_;
};

TEST_F(RecipeFile, FillsPositionalWordsToo) {
  const std::string file = write("[run]\nsteps = 1\n[train]\nmodel = \"small\"\nsteps = 9\nthreads = 1\n");
  Declared d;
  ASSERT_TRUE(d.parse({"--recipe", file, "--out", "here"}));
  EXPECT_EQ(d.model, "small");
  EXPECT_EQ(d.steps, 9);
  EXPECT_EQ(d.out, "here");
  EXPECT_EQ(thread_count(), 1);
  set_thread_count(0);
  Declared other;
  ASSERT_TRUE(other.parse({"tiny", "--recipe", file, "--steps", "7"}));
  EXPECT_EQ(other.model, "tiny");
  EXPECT_EQ(other.steps, 7);
  // Where options come from is none of them.
  EXPECT_EQ(d.options.values().find("recipe"), nullptr);
  EXPECT_EQ(d.options.values().find("check"), nullptr);
}

TEST_F(RecipeFile, IsChecked) {
  Declared d;
  EXPECT_FALSE(d.parse({"--check", "--recipe", write("[train]\nmodel = \"small\"\n")}));
  EXPECT_TRUE(d.options.only_checks());
  const auto complaint_of = [&](const std::string& text) {
    Declared declared;
    try {
      static_cast<void>(declared.parse({"--check", "--recipe", write(text)}));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  EXPECT_THAT(complaint_of("[train]\n"), HasSubstr("needs MODEL"));
  EXPECT_THAT(complaint_of("[run]\nmodel = \"x\"\n"), HasSubstr("has no table [train]"));
  EXPECT_THAT(complaint_of("[train]\nmodle = \"x\"\n"),
              HasSubstr("line 2: unknown key 'modle'; did you mean 'model'?"));
  EXPECT_THAT(complaint_of("[train]\ncheck = true\n"), HasSubstr("unknown key 'check'"));
}

TEST(Options, ARecipeWithAnUnknownKeyNamesTheNearest) {
  Declared d;
  ASSERT_TRUE(d.parse({"tiny"}));
  try {
    d.options.fill_from(Json::parse(R"({"scheduel": "cosine"})", "recipe"), "recipe.toml");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'schedule'?"));
  }
}

}  // namespace
}  // namespace martlet::cli

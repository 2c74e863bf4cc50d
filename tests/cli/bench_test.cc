// `bench` as a person or a script calls it.

#include <gmock/gmock.h>

#include "base/json.h"
#include "run_program.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

class BenchVerb : public ::testing::Test {
 protected:
  Outcome bench(const std::string& words) { return run(scratch_, "bench " + model_.path() + " " + words); }

  Scratch scratch_;
  testing::ChatModelDirectory model_{5, 64};
};

TEST_F(BenchVerb, GivesARowForEverySettingAndWhatTheMachineCan) {
  const Outcome outcome = bench("--prefill 4,8 --decode 3 --depth 0,20 --batch 1,2 --runs 1 --json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json report = Json::parse(outcome.out, "report");
  EXPECT_GT(report.at("machine").at("bandwidth").real(), 1e8);
  EXPECT_GT(report.at("machine").at("flops").at("f32").real(), 1e8);
  ASSERT_EQ(report.at("prefill").array().size(), 8u);
  ASSERT_EQ(report.at("decode").array().size(), 4u);
  size_t i = 0;
  for (const int64_t batch : {1, 2})
    for (const int64_t depth : {0, 20}) {
      const Json& decode = report.at("decode").array()[i / 2];
      EXPECT_EQ(decode.at("tokens").integer(), 3);
      EXPECT_EQ(decode.at("depth").integer(), depth);
      EXPECT_EQ(decode.at("batch").integer(), batch);
      for (const int64_t tokens : {4, 8}) {
        const Json& prefill = report.at("prefill").array()[i++];
        EXPECT_EQ(prefill.at("tokens").integer(), tokens);
        EXPECT_EQ(prefill.at("depth").integer(), depth);
        EXPECT_EQ(prefill.at("batch").integer(), batch);
      }
    }
  for (const char* part : {"prefill", "decode"})
    for (const Json& row : report.at(part).array()) {
      EXPECT_GT(row.at("tokens_per_s").real(), 0);
      EXPECT_GT(row.at("share_of_limit").real(), 0);
    }
}

TEST_F(BenchVerb, ShowsATable) {
  const Outcome outcome = bench("--prefill 4 --decode 0 --runs 1");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("machine: reads "));
  EXPECT_THAT(outcome.out, HasSubstr("of the limit"));
  EXPECT_THAT(outcome.out, ::testing::Not(HasSubstr("decode")));
}

TEST_F(BenchVerb, SaysWhatItTakes) {
  Outcome outcome = bench("--depth 60 --decode 5 --prefill ''");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("5 tokens at depth 60 are more than the model's context of 64"));
  outcome = bench("--prefill 4,x");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("got 'x'"));
  EXPECT_EQ(bench("--depth ''").code, 2);
}

}  // namespace
}  // namespace martlet::cli

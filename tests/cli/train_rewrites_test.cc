// `train` with rewrites, as a person calls it.

#include <gmock/gmock.h>

#include "cli/lines.h"
#include "formats/safetensors.h"
#include "run_program.h"
#include "support/random_model.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

class TrainRewrites : public ::testing::Test {
 protected:
  TrainRewrites() {
    std::string rows;
    for (int row = 0; row < 16; ++row) {
      rows += "{\"ids\": [";
      for (int i = 0; i < 17; ++i)
        rows += fmt::format("{}{}", i == 0 ? "" : ", ", (row * 31 + i * i * 7) % 97);
      rows += "]}\n";
    }
    write_file(data_, rows);
  }

  /// The losses of four steps.
  std::vector<double> losses(const std::string& out, const std::string& words) {
    const std::string metrics = scratch_.path() + "/" + out + ".jsonl";
    const Outcome outcome =
        run(scratch_, fmt::format("train --init {} --data {} --seq 16 --batch 4 --steps 4 "
                                  "--order sequential --pack none --out {}/{} --metrics {} {}",
                                  model_.path(), data_, scratch_.path(), out, metrics, words));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    said_ = outcome.err;
    std::vector<double> losses;
    for (const std::string& line : lines_of(read_file(metrics)))
      losses.push_back(Json::parse(line, "row").at("loss").real());
    EXPECT_EQ(losses.size(), 4u);
    return losses;
  }
  std::string weights_of(const std::string& out) const {
    return read_file(scratch_.path() + "/" + out + "/model.safetensors");
  }

  Scratch scratch_;
  testing::ModelDirectory model_{testing::small_llama_config(), 5};
  std::string data_ = scratch_.path() + "/data.jsonl";
  std::string said_;
};

TEST_F(TrainRewrites, RecomputeChangesNoBitAndLeavesNothingInTheModel) {
  const auto plain = losses("plain", "");
  EXPECT_EQ(losses("again", "--rewrite recompute"), plain);
  EXPECT_THAT(said_, HasSubstr("recompute pattern=layers.*: 2 modules"));
  EXPECT_EQ(weights_of("again"), weights_of("plain"));
  EXPECT_FALSE(file_exists(scratch_.path() + "/again/martlet.toml"));
}

TEST_F(TrainRewrites, WhatIsFrozenIsSavedAsItWasAndTheRestLearns) {
  losses("tuned", "--rewrite 'freeze pattern=embed_tokens freeze pattern=layers.0'");
  const auto before = formats::open_safetensors(model_.path() + "/model.safetensors");
  const auto after = formats::open_safetensors(scratch_.path() + "/tuned/model.safetensors");
  int64_t same = 0, learned = 0;
  for (const std::string& name : before.names()) {
    const bool frozen = name == "model.embed_tokens.weight" || name.starts_with("model.layers.0.");
    const bool equal = before.tensor(name).to_vector<float>() == after.tensor(name).to_vector<float>();
    EXPECT_EQ(equal, frozen) << name;
    ++(equal ? same : learned);
  }
  EXPECT_EQ(same, 10);
  EXPECT_GT(learned, 10);
}

TEST_F(TrainRewrites, ARecipeNamesThemTooAndATieIsKept) {
  const std::string recipe = scratch_.path() + "/recipe.toml";
  write_file(recipe, "[train]\nrewrite = [\"tie pattern=lm_head to=embed_tokens\", \"recompute\"]\n");
  losses("tuned", recipe);
  EXPECT_THAT(read_file(scratch_.path() + "/tuned/martlet.toml"), HasSubstr("name = \"tie\""));
  EXPECT_THAT(read_file(scratch_.path() + "/tuned/martlet.toml"), Not(HasSubstr("recompute")));
  const auto after = formats::open_safetensors(scratch_.path() + "/tuned/model.safetensors");
  EXPECT_EQ(after.tensor("lm_head.weight").to_vector<float>(),
            after.tensor("model.embed_tokens.weight").to_vector<float>());
}

TEST_F(TrainRewrites, ApplyTellsThatTrainingAloneLeavesNothing) {
  const Outcome outcome =
      run(scratch_, "apply " + model_.path() + " recompute -o " + scratch_.path() + "/tuned");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("recompute is for one call alone"));
}

}  // namespace
}  // namespace martlet::cli

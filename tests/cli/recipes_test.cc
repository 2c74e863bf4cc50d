// The recipes of recipes/, each run as it stands but for size: flags come before the file.

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>

#include "cli/lines.h"
#include "formats/safetensors.h"
#include "run_program.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

class Recipes : public ::testing::Test {
 protected:
  /// Runs the recipe with flags; what it wrote is in `out_`.
  void train(const std::string& recipe, const std::string& flags) {
    const Outcome outcome =
        run(scratch_, fmt::format("train {}/recipes/{} --steps 3 --warmup 1 --eval-every 2 --eval-batches 2 "
                                  "--metrics {} --out {} {}",
                                  MARTLET_SOURCE_DIR, recipe, metrics_, out_, flags));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const std::vector<std::string> rows = lines_of(read_file(metrics_));
    ASSERT_EQ(rows.size(), 3u);
    for (const std::string& row : rows) EXPECT_GT(Json::parse(row, "row").at("loss").real(), 0);
    EXPECT_THAT(read_file(metrics_), HasSubstr("eval_loss"));
    EXPECT_EQ(run(scratch_, "run " + out_ + " -p hello -n 3 --temp 0").code, 0);
  }
  std::string made(const std::string& name, const std::string& text) const {
    write_file(scratch_.path() + "/" + name, text);
    return scratch_.path() + "/" + name;
  }
  static std::string conversations() {
    std::string rows;
    for (int i = 0; i < 60; ++i)
      rows += fmt::format(R"({{"messages": [{{"role": "user", "content": "What is {0} and 1?"}}, )"
                          R"({{"role": "assistant", "content": "{1}"}}]}})"
                          "\n",
                          i, i + 1);
    return rows;
  }

  Scratch scratch_;
  std::string out_ = scratch_.path() + "/trained";
  std::string metrics_ = scratch_.path() + "/metrics.jsonl";
};

TEST_F(Recipes, EveryRecipeHasATestAndALineOfTheReadme) {
  const std::string readme = read_file(std::string(MARTLET_SOURCE_DIR) + "/recipes/README.md");
  int64_t recipes = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(MARTLET_SOURCE_DIR) + "/recipes")) {
    if (entry.path().extension() != ".toml") continue;
    ++recipes;
    EXPECT_THAT(readme, HasSubstr("`" + entry.path().filename().string() + "`"));
  }
  EXPECT_EQ(recipes, 3);
}

TEST_F(Recipes, AFirstModel) {
  const std::string world = scratch_.path() + "/world.jsonl", tokenizer = scratch_.path() + "/tokenizer";
  ASSERT_EQ(run(scratch_, "data tinyworld --documents 400 --kinds fact,story --seed 1 -o " + world).code, 0);
  ASSERT_EQ(run(scratch_, "tokenizer train --data " + world + " --vocab 600 -o " + tokenizer).code, 0);
  train("first-model.toml", "--tokenizer " + tokenizer + " --model hidden=32,layers=2,heads=2 --data " +
                                world + " --seq 64 --batch 2");
}

TEST_F(Recipes, ContinuedTraining) {
  const testing::ChatModelDirectory model(5, 64);
  std::string text;
  for (int i = 0; i < 80; ++i)
    text += fmt::format("{{\"text\": \"Line {} of a person's own notes, about this and that.\"}}\n", i);
  train("continue-smollm2.toml", "--init " + model.path() + " --data " + made("text.jsonl", text) +
                                     " --validation 0.3 --seq 48 --batch 1 --accumulate 2");
  // Its table of tokens is frozen.
  const auto before = formats::open_safetensors(model.path() + "/model.safetensors");
  const auto after = formats::open_safetensors(out_ + "/model.safetensors");
  EXPECT_EQ(after.tensor("model.embed_tokens.weight").to_vector<float>(),
            before.tensor("model.embed_tokens.weight").to_vector<float>());
  EXPECT_NE(after.tensor("model.norm.weight").to_vector<float>(),
            before.tensor("model.norm.weight").to_vector<float>());
}

TEST_F(Recipes, InstructionTuning) {
  const testing::ChatModelDirectory model(6, 64);
  train("instruction-tuning.toml", "--init " + model.path() + " --data " +
                                       made("chats.jsonl", conversations()) +
                                       " --validation 0.3 --seq 48 --batch 2");
}

TEST_F(Recipes, InstructionTuningOfTheRealModelWhereTheStoreHasIt) {
  const char* home = std::getenv("HOME");
  const std::string file = std::string(home == nullptr ? "" : home) +
                           "/.local/share/martlet/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!file_exists(file)) GTEST_SKIP() << "martlet pull smollm2 brings it";
  train("instruction-tuning.toml", "--init " + file + " --data " + made("chats.jsonl", conversations()) +
                                       " --validation 0.1 --eval-batches 1 --seq 48 --batch 1 --rewrite "
                                       "'freeze pattern=** except=layers.29'");
}

}  // namespace
}  // namespace martlet::cli

// `run --speculate` and `run --prompt-cache`: what saves time changes no reply.

#include <filesystem>
#include <gmock/gmock.h>

#include "run_program.h"
#include "support/chat_model.h"
#include "support/random_model.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

class RunAhead : public ::testing::Test {
 protected:
  Outcome reply(const std::string& words) {
    return run(scratch_,
               "run " + model_.path() + " -p 'one two one two one two' -n 24 --ignore-eos " + words);
  }

  Scratch scratch_;
  testing::ChatModelDirectory model_{5, 64};
};

TEST_F(RunAhead, GuessesAndKeptPromptsChangeNoReply) {
  const Outcome plain = reply("");
  ASSERT_EQ(plain.code, 0) << plain.err;
  const std::string folder = scratch_.path() + "/prompts";
  for (const std::string& words :
       {std::string("--speculate ngram"), "--speculate " + model_.path() + " --draft 4",
        std::string("--speculate early"), std::string("--speculate early:1 --kv-cache f32"),
        "--prompt-cache " + folder, "--prompt-cache " + folder + " --speculate ngram --batch 3"}) {
    const Outcome outcome = reply(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, plain.out) << words;
  }
}

TEST_F(RunAhead, WhatIsMadeOfTheGuessingModelsWeightsIsKept) {
  const std::string draft = scratch_.path() + "/draft.gguf", kept = scratch_.path() + "/weights";
  const Outcome packed = run(scratch_, "quantize " + model_.path() + " --to q8_0 -o " + draft);
  ASSERT_EQ(packed.code, 0) << packed.err;
  const Outcome plain = reply("");
  for (const bool is_second : {false, true}) {
    EXPECT_EQ(reply("--speculate " + draft + " --weight-cache " + kept).out, plain.out) << is_second;
    const std::filesystem::directory_iterator files(kept);
    EXPECT_EQ(std::distance(begin(files), end(files)), 1);  // the model itself is not packed
  }
}

TEST_F(RunAhead, MoreEarlyLayersThanThereAreIsRefused) {
  EXPECT_EQ(reply("--speculate early:all").code, 2);
  const Outcome outcome = reply("--speculate early:99");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("99 layers"));
}

TEST_F(RunAhead, ADraftModelOfAnotherVocabularyIsRefusedWithBothSizesBeforeItsWeightsAreTouched) {
  const testing::ModelDirectory other(testing::small_llama_config(), 3);
  const std::string draft = scratch_.path() + "/draft.gguf", kept = scratch_.path() + "/weights";
  ASSERT_EQ(run(scratch_, "convert " + other.path() + " --dtype f16 -o " + draft).code, 0);
  ASSERT_EQ(run(scratch_, "apply " + other.path() + " quantize to=q8_0 --packed -o " + draft + "s").code, 0);
  // Whose weights none could read.
  write_file(other.path() + "/model.safetensors", "no weights");
  for (const std::string& name : {other.path(), draft, draft + "s"}) {
    const Outcome outcome = reply("--speculate " + name + " --weight-cache " + kept);
    EXPECT_EQ(outcome.code, 3);
    EXPECT_THAT(outcome.err, HasSubstr("has 97"));
    EXPECT_THAT(outcome.err, HasSubstr("predicts the same 264 tokens"));
  }
  EXPECT_FALSE(std::filesystem::exists(kept));
}

TEST_F(RunAhead, APromptCacheThatIsNoFolderIsRefused) {
  write_file(scratch_.path() + "/file", "no folder");
  const Outcome outcome = reply("--prompt-cache " + scratch_.path() + "/file");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("wants a folder"));
}

}  // namespace
}  // namespace martlet::cli

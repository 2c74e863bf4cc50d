// The verb `train`: a model from little text, and what is wrong with a request said in one sentence.

#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>

#include "base/json.h"
#include "base/random.h"
#include "run_program.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A model to go on from, and a folder with data.
class TrainVerb : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) const {
    write_file(scratch.path() + "/" + name, content);
    return scratch.path() + "/" + name;
  }
  std::string out() const { return scratch.path() + "/trained"; }
  Outcome train(const std::string& words) const {
    return run(scratch, "train --init " + model.path() + " --out " + out() + " --seq 32 --batch 2 " + words);
  }
  /// Training on these rows fails with `code`; returns the sentence.
  std::string refusal_of(const std::string& name, const std::string& content, int code = 3) const {
    const Outcome outcome = train("--steps 2 --data " + write(name, content));
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_FALSE(file_exists(out() + "/config.json"));
    return outcome.err;
  }
  std::string recipe_error(const std::string& content) const {
    const Outcome outcome = train("--data x.txt " + write("recipe.toml", content));
    EXPECT_EQ(outcome.code, 3) << outcome.err;
    return outcome.err;
  }

  Scratch scratch;
  testing::ChatModelDirectory model{1};
};

TEST_F(TrainVerb, MakesAModelThatRunsFromTextSmallerThanABatch) {
  const Outcome outcome = train("--steps 3 --data " + write("small.txt", "The cat sat.\n"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("3 steps; the model is in"));
  EXPECT_EQ(run(scratch, "run " + out() + " -p The -n 3 --temp 0").code, 0);
}

TEST_F(TrainVerb, ACorpusWithoutADocumentIsRefused) {
  EXPECT_THAT(refusal_of("empty.txt", ""), HasSubstr("document"));
  EXPECT_THAT(refusal_of("empty.jsonl", ""), HasSubstr("document"));
}

TEST_F(TrainVerb, TooFewDocumentsToHoldAnyOutAreRefused) {
  const Outcome outcome = train("--steps 2 --validation 0.001 --data " + write("one.txt", "The cat sat.\n"));
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("too few documents for --validation 0.001"));
}

TEST_F(TrainVerb, BinaryNoiseIsRefused) {
  std::string noise;
  const Philox random(4);
  for (uint64_t i = 0; i < 5000; ++i) noise += static_cast<char>(random.below(i, 256));
  EXPECT_THAT(refusal_of("noise.txt", noise), HasSubstr("noise.txt"));
}

TEST_F(TrainVerb, WhatIsReplacedOrPassedOverIsSaid) {
  std::filesystem::create_directory(scratch.path() + "/folder");
  write("folder/a.txt", std::string("\x00\x01\x02\x03 no text \x00\x00", 18));
  write("folder/b.txt", "caf\xe9 and more, \xff\xfe");
  const Outcome outcome = train("--steps 2 --data " + scratch.path() + "/folder");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("1 binary files were passed over, the first " + scratch.path() + "/folder/a.txt"));
  EXPECT_THAT(outcome.err, HasSubstr("parts were not UTF-8 and became U+FFFD"));
}

TEST_F(TrainVerb, ABrokenRowIsNamedByItsLine) {
  std::string rows;
  for (int line = 1; line < 7; ++line) rows += "{\"text\": \"line\"}\n";
  EXPECT_THAT(refusal_of("rows.jsonl", rows + "{\"text\": \"li\n{\"text\": \"after\"}\n"),
              HasSubstr("rows.jsonl:7"));
  EXPECT_THAT(refusal_of("keys.jsonl", rows + "{\"txt\": \"typo\"}\n"), HasSubstr("keys.jsonl:7"));
}

TEST_F(TrainVerb, AMessageWithoutARoleIsNamedByItsLine) {
  const std::string good =
      "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
      "\"content\": \"b\"}]}\n";
  const std::string error = refusal_of("chat.jsonl", good + "{\"messages\": [{\"content\": \"a\"}]}\n");
  EXPECT_THAT(error, HasSubstr("chat.jsonl:2"));
  EXPECT_THAT(error, HasSubstr("role"));
}

TEST_F(TrainVerb, IdsOutsideTheVocabularyAreNamed) {
  const std::string error = refusal_of("ids.jsonl", "{\"ids\": [1, 2, 3]}\n{\"ids\": [1, 99999]}\n");
  EXPECT_THAT(error, HasSubstr("ids.jsonl:2: id 99999 at place 1 is outside the vocabulary"));
}

TEST_F(TrainVerb, ASequencePastTheContextIsRefused) {
  const Outcome outcome = train("--steps 1 --seq 257 --data " + write("a.txt", "text"));
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("--seq 257 is longer than the model's context of 256"));
}

TEST_F(TrainVerb, ARecipeSaysTheSameAsFlags) {
  const std::string data = write("a.txt", "One two three four five six seven.\n");
  EXPECT_EQ(train("--steps 4 --learning-rate 0.01 --seed 5 --data " + data).code, 0);
  const std::string weights = read_file(out() + "/model.safetensors");
  const std::string recipe =
      write("recipe.toml", "[model]\ninit = \"" + model.path() + "\"\n[data]\ndata = [\"" + data +
                               "\"]\nseq = 32\nbatch = 2\n[train]\nsteps = 4\n" +
                               "learning_rate = 1e-2\nseed = 5\n");
  EXPECT_EQ(run(scratch, "train " + recipe + " --out " + scratch.path() + "/second").code, 0);
  EXPECT_EQ(read_file(scratch.path() + "/second/model.safetensors"), weights);
}

TEST_F(TrainVerb, ARecipesMistakesAreNamedWithTheNearestKey) {
  std::string error = recipe_error("[train]\nsteps = 3\nlearning_rat = 0.1\n");
  EXPECT_THAT(error, HasSubstr("line 3: unknown key 'learning_rat'; did you mean 'learning_rate'?"));
  error = recipe_error("[train]\nsteps = \"many\"\n");
  EXPECT_THAT(error, HasSubstr("line 2: --steps wants a whole number"));
  error = recipe_error("[train]\nlearning_rate = true\n");
  EXPECT_THAT(error, HasSubstr("line 2: --learning-rate wants a number"));
  error = recipe_error("[data]\naccumulate = 0\n");
  EXPECT_THAT(error, HasSubstr("line 2: --accumulate wants a whole number from 1"));
  error = recipe_error("[train]\nema = 1.5\n");
  EXPECT_THAT(error, HasSubstr("line 2: --ema wants a number from 0"));
  error = recipe_error("[train]\nschedule = \"sawtooth\"\n");
  EXPECT_THAT(error, HasSubstr("constant, cosine, linear, wsd"));
  error = recipe_error("[trian]\nsteps = 3\n");
  EXPECT_THAT(error, HasSubstr("line 1: no verb has the table [trian]; did you mean [train]?"));
  error = recipe_error("[train]\nsteps = 3\n[modle]\nmodel = \"1m\"\n");
  EXPECT_THAT(error, HasSubstr("line 3: no verb has the table [modle]; did you mean [model]?"));
  error = recipe_error("steps = 3\n");
  EXPECT_THAT(error, HasSubstr("line 1: 'steps' stands in no table"));
  error = recipe_error("[train\n");
  EXPECT_THAT(error, HasSubstr("recipe.toml"));
}

TEST_F(TrainVerb, WhatContradictsItselfIsWrongUsage) {
  const std::string data = " --data " + write("a.txt", "text");
  EXPECT_EQ(train("--steps 1").code, 2);
  EXPECT_EQ(train(data).code, 2);
  EXPECT_EQ(train("--steps 1 --model 1m" + data).code, 2);
  EXPECT_THAT(train("--steps 1 --dtype f16 --rewrite mixed" + data).err,
              HasSubstr("--dtype f16 and --rewrite 'mixed', which is bf16, contradict each other"));
  EXPECT_EQ(train("--steps 1 --validation 0.1 --eval-data x" + data).code, 2);
  EXPECT_EQ(train("--steps 1 --keep-best" + data).code, 2);
  EXPECT_EQ(train("--steps 1 --sample-every 1" + data).code, 2);
  EXPECT_EQ(train("--steps 1 --eval-every 1" + data).code, 2) << "nothing is held out";
}

TEST_F(TrainVerb, ARunGoesOnOnlyWhenAskedAndOnlyWithItsOwnModel) {
  const std::string data = " --data " + write("a.txt", "One two three four five six seven.\n");
  EXPECT_EQ(train("--steps 2" + data).code, 0);
  Outcome outcome = train("--steps 2" + data);
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("there is a model already"));
  EXPECT_EQ(train("--steps 4 --resume" + data).code, 0);
  const testing::ModelDirectory other(
      Json(testing::small_llama_config()).set("vocab_size", 400).set("max_position_embeddings", 256), 2);
  outcome =
      run(scratch, "train --init " + other.path() + " --tokenizer " + model.path() + " --out " + out() +
                       " --seq 32 --batch 2 --steps 4 --resume --change init --change tokenizer" + data);
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("no checkpoint of the run can be used"));
}

TEST_F(TrainVerb, TellsTheHeldOutLossAndSamples) {
  std::string text;
  for (int row = 0; row < 60; ++row)
    text += "{\"text\": \"row " + std::to_string(row * 7 % 60) + " of the data\"}\n";
  const Outcome outcome = train(
      "--steps 4 --eval-every 2 --sample-every 4 --sample-prompt row --sample-tokens 5 --validation 0.3 "
      "--keep-best --ema 0.9 --metrics " +
      scratch.path() + "/rows.jsonl --data " + write("rows-of-text.jsonl", text));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("held out "));
  EXPECT_THAT(outcome.err, HasSubstr("after step 4 it says: row"));
  EXPECT_THAT(outcome.out, HasSubstr("held-out loss"));
  const std::string rows = read_file(scratch.path() + "/rows.jsonl");
  EXPECT_THAT(rows, HasSubstr("\"eval_loss\": "));
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 4);
}

}  // namespace
}  // namespace martlet::cli

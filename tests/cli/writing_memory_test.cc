// What writes or measures a model of twice the memory that it may take.

#include "base/crc32c.h"
#include "base/json.h"
#include "large_model.h"
#include "text/sample_tokenizers.h"

namespace martlet::cli {
namespace {

TEST_F(LargeModel, IsConvertedAndQuantisedInAPartOfItsSize) {
  const auto size = static_cast<int64_t>(fs::file_size(path()));
  const std::string half = scratch_.path() + "/half.gguf", folder = scratch_.path() + "/folder";
  for (const std::string& words :
       {"convert " + path() + " --dtype f16 -o " + half, "convert " + half + " --dtype bf16 -o " + folder,
        "quantize " + folder + " --to q8_0 -o " + scratch_.path() + "/q.gguf"}) {
    EXPECT_LT(peak_bytes(words), size / 2) << words;
  }
}

TEST_F(LargeModel, ConvertingInTooLittleTellsWhatWouldDoAndThatDoes) {
  const std::string words =
      "convert " + path() + " --dtype f16 -o " + scratch_.path() + "/half.gguf --memory ";
  const Outcome refused = run(scratch_, words + "30M");
  EXPECT_EQ(refused.code, 4) << refused.err;
  EXPECT_FALSE(file_exists(scratch_.path() + "/half.gguf"));
  const std::string_view before = "the smallest that would do is ";
  const size_t at = refused.err.find(before);
  ASSERT_NE(at, std::string::npos) << refused.err;
  // "87.3 MiB": one more, for the rounding.
  const int64_t told = std::stoll(refused.err.substr(at + before.size())) + 1;
  ASSERT_EQ(run(scratch_, words + "6G").code, 0);
  // Not its text: a child counts from what this process holds.
  const auto sum = [&] { return crc32c(read_file(scratch_.path() + "/half.gguf")); };
  const uint32_t wanted = sum();
  EXPECT_LE(peak_bytes(words + std::to_string(told) + "M"), told << 20);
  EXPECT_EQ(sum(), wanted);
  const MemoryGroup group(told << 20);
  if (group.folder.empty()) GTEST_SKIP() << "no control group of memory can be made here";
  fs::remove(scratch_.path() + "/half.gguf");
  const std::string command = "sh -c 'echo $$ > " + group.folder + "/cgroup.procs && exec " +
                              MARTLET_PROGRAM + " " + words + std::to_string(told) + "M'";
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(sum(), wanted);
}

/// The same that reads texts.
class LargeReader : public Large {
 protected:
  LargeReader() : Large("model") {
    const std::string file = scratch_.path() + "/m.gguf";
    const Json tokenizer = text::byte_level_json();
    const int64_t vocabulary = text::Tokenizer::from_json(tokenizer, "test").vocabulary_size();
    write_drawn_file(
        file, {.hidden = 768, .intermediate = 2048, .layers = 32, .heads = 12, .vocabulary = vocabulary});
    EXPECT_EQ(run(scratch_, "convert " + file + " --packed -o " + path()).code, 0);
    write_file(path() + "/tokenizer.json", tokenizer.dump());
    std::string text;
    for (int i = 0; i < 60; ++i) text += "the cat sat on mat number " + std::to_string(i * i) + "\n";
    write_file(scratch_.path() + "/text.txt", text);
  }
  std::string text() const { return scratch_.path() + "/text.txt"; }
};

/// That both of two models are read from disk in part.
void expect_both_stream(const std::string& told) {
  const size_t first = told.find("of 32 blocks held");
  EXPECT_NE(first, std::string::npos) << told;
  EXPECT_NE(told.find("of 32 blocks held", first + 1), std::string::npos) << told;
}

TEST_F(LargeReader, LearnsTheSameImportanceWithinABudget) {
  const auto call = [&](const std::string& name, const std::string& budget) {
    return run(scratch_, "quantize " + path() + " --to q8_0 --imatrix " + text() + " --save-imatrix " +
                             scratch_.path() + "/" + name + " -o " + scratch_.path() + "/q.gguf" + budget);
  };
  const Outcome free = call("free", "");
  ASSERT_EQ(free.code, 0) << free.err;
  const Outcome streamed = call("streamed", " --memory 120M");
  ASSERT_EQ(streamed.code, 0) << streamed.err;
  EXPECT_NE(streamed.err.find("of 32 blocks held"), std::string::npos) << streamed.err;
  EXPECT_EQ(read_file(scratch_.path() + "/streamed") == read_file(scratch_.path() + "/free"), true);
  const Outcome little = call("little", " --memory 80M");
  EXPECT_EQ(little.code, 4) << little.err;
  EXPECT_NE(little.err.find("the smallest that would do is"), std::string::npos) << little.err;
  EXPECT_NE(little.err.find(" importance, "), std::string::npos) << little.err;
}

TEST_F(LargeReader, TwoModelsAreComparedWithinABudget) {
  const std::string words = "perplexity " + path() + " " + text() + " --windows 1 --json --against " + path();
  const Outcome free = run(scratch_, words);
  ASSERT_EQ(free.code, 0) << free.err;
  const Outcome streamed = run(scratch_, words + " --memory 240M");
  ASSERT_EQ(streamed.code, 0) << streamed.err;
  EXPECT_EQ(streamed.out, free.out);
  expect_both_stream(streamed.err);
}

TEST_F(LargeReader, TwoModelsKeepTogetherWithinWhatIsFree) {
  const std::string words = "perplexity " + path() + " " + text() + " --windows 1 --json --against " + path();
  // Enough for either alone.
  const MemoryGroup group(2 * static_cast<int64_t>(fs::file_size(path() + "/model.safetensors")));
  if (group.folder.empty()) GTEST_SKIP() << "no control group of memory can be made here";
  const Outcome limited = run_in(group, words);
  ASSERT_EQ(limited.code, 0) << limited.err;
  EXPECT_NE(limited.err.find("that are free"), std::string::npos) << limited.err;
  expect_both_stream(limited.err);
  EXPECT_EQ(limited.out, run(scratch_, words).out);
}

}  // namespace
}  // namespace martlet::cli

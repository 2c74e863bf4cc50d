// convert, quantize and perplexity as a person calls them; what they compute is tested in other rooms.

#include <cstdlib>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/json.h"
#include "run_program.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

class QuantizeTest : public ::testing::Test {
 protected:
  QuantizeTest() : model_(3) {
    std::string text;
    for (int i = 0; i < 200; ++i) text += "the cat sat on mat number " + std::to_string(i * i) + "\n";
    write_file(scratch_.path() + "/text.txt", text);
  }
  Outcome call(const std::string& words) const { return run(scratch_, words); }
  std::string file(const std::string& name) const { return scratch_.path() + "/" + name; }
  std::string model() const { return model_.path(); }

  Scratch scratch_;
  martlet::testing::ChatModelDirectory model_;
};

TEST_F(QuantizeTest, AFileThereAndADirectoryBackAnswerAlike) {
  ASSERT_EQ(call("convert " + model() + " -o " + file("m.gguf")).code, 0);
  ASSERT_EQ(call("convert " + file("m.gguf") + " -o " + file("back")).code, 0);
  const std::string words = " -p 'hello there' -n 8 --temp 0";
  const Outcome first = call("run " + model() + words);
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(call("run " + file("m.gguf") + words).out, first.out);
  EXPECT_EQ(call("run " + file("back") + words).out, first.out);
}

TEST_F(QuantizeTest, SizesAndQualityAreTold) {
  const Outcome told =
      call("quantize " + model() + " --to q8_0 --imatrix " + file("text.txt") + " --save-imatrix " +
           file("i.gguf") + " -o " + file("q.gguf") + " --compare " + file("text.txt") + " --json");
  ASSERT_EQ(told.code, 0) << told.err;
  const Json row = Json::parse(told.out, "out");
  EXPECT_LT(row.at("bytes_after").integer(), row.at("bytes_before").integer());
  EXPECT_LT(row.at("quality").at("kl").real(), 0.01);
  const Outcome people =
      call("quantize " + model() + " --to q4_0 --imatrix " + file("i.gguf") + " -o " + file("q4.gguf"));
  EXPECT_EQ(people.code, 0) << people.err;
  EXPECT_NE(people.out.find("bits each"), std::string::npos);
}

TEST_F(QuantizeTest, TheModelThatHasReadATextIsTheOneThatIsWritten) {
  const std::string first = file("m.gguf"), text = file("long.txt"), pipe = file("pipe");
  ASSERT_EQ(call("convert " + model() + " -o " + first).code, 0);
  // More than a pipe holds: who has written it all has seen the model open, and takes it away.
  std::string lines = read_file(file("text.txt"));
  while (lines.size() < size_t{128} << 10) lines += lines;
  write_file(text, lines);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string writes = "(cat " + text + "; mv " + first + " " + file("gone") + ") > " + pipe + " &";
  ASSERT_EQ(std::system(writes.c_str()), 0);
  const Outcome told =
      call("quantize " + first + " --to q8_0 --imatrix - -o " + file("q.gguf") + " < " + pipe);
  EXPECT_EQ(told.code, 0) << told.err;
}

TEST_F(QuantizeTest, TheShortNamesOfKQuantsAreThoseOfTheirMixtureM) {
  ASSERT_EQ(call("quantize " + model() + " --to Q4_K -o " + file("short.gguf")).code, 0);
  ASSERT_EQ(call("quantize " + model() + " --to q4_k_m -o " + file("m.gguf")).code, 0);
  EXPECT_EQ(read_file(file("short.gguf")), read_file(file("m.gguf")));
}

TEST_F(QuantizeTest, PerplexityAgainstItselfHasNoDivergence) {
  const Outcome told = call("perplexity " + model() + " " + file("text.txt") + " --context 64 --against " +
                            model() + " --json");
  ASSERT_EQ(told.code, 0) << told.err;
  const Json row = Json::parse(told.out, "out");
  EXPECT_EQ(row.at("kl").real(), 0);
  EXPECT_EQ(row.at("perplexity").real(), row.at("other").at("perplexity").real());
  EXPECT_EQ(row.at("tokens").integer(), row.at("windows").integer() * 31);
}

TEST_F(QuantizeTest, WrongUsageAndBadInputHaveTheirCodes) {
  EXPECT_EQ(call("convert " + model()).code, 2);
  EXPECT_EQ(call("quantize " + model() + " --to q3_k_m -o " + file("q.gguf")).code, 2);
  EXPECT_EQ(call("quantize " + model() + " -o " + file("folder")).code, 2);
  EXPECT_EQ(call("perplexity " + model() + " " + file("text.txt") + " --context 1024").code, 2);
  write_file(file("short.txt"), "one");
  EXPECT_EQ(call("perplexity " + model() + " " + file("short.txt")).code, 3);
  EXPECT_EQ(
      call("quantize " + model() + " --to q8_0 --imatrix " + file("missing") + " -o " + file("q.gguf")).code,
      3);
  // Long enough for a window, were it a text.
  write_file(file("binary"),
             "\x7f"
             "ELF" +
                 std::string(4000, '\0'));
  for (const char* words : {"perplexity {0} {1}", "quantize {0} --to q8_0 --imatrix {1} -o {2}"})
    EXPECT_EQ(call(fmt::format(fmt::runtime(words), model(), file("binary"), file("q.gguf"))).code, 3);
  EXPECT_FALSE(file_exists(file("q.gguf")));
}

}  // namespace
}  // namespace martlet::cli

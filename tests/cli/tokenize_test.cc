#include <cstdlib>
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "scratch.h"
#include "text/random_text.h"
#include "text/sample_tokenizers.h"
#include "text/tokenizer.h"

namespace martlet::cli {
namespace {

/// Runs a line of bash and gives what it wrote.
std::string output_of(const Scratch& scratch, const std::string& script) {
  write_file(scratch.path() + "/script", script);
  const std::string out = scratch.path() + "/out";
  EXPECT_EQ(std::system(("bash " + scratch.path() + "/script >" + out).c_str()), 0);
  return read_file(out);
}

std::string tokenizer_folder(const Scratch& scratch) {
  write_file(scratch.path() + "/tokenizer.json", text::byte_level_json().dump());
  return scratch.path();
}

TEST(Tokenize, AnswersEveryLineInOrder) {
  const Scratch scratch;
  const std::string folder = tokenizer_folder(scratch);
  const text::Tokenizer tokenizer = text::Tokenizer::load(folder);
  text::Dice dice(1);
  std::string lines, expected, back;
  const auto add = [&](const std::string& text) {
    Json::Array ids;
    for (const int32_t id : tokenizer.encode(text)) ids.emplace_back(int64_t{id});
    lines += Json(text).dump() + "\n";
    back += Json(tokenizer.decode(tokenizer.encode(text))).dump() + "\n";
    expected += Json(std::move(ids)).dump() + "\n";
  };
  add(std::string(size_t{3} << 20, 'x'));  // longer than a block
  for (int i = 0; i < 40'000; ++i) add(text::random_text(dice));
  ASSERT_GT(lines.size(), size_t{4} << 20);
  lines.pop_back();  // the last line may lack its end
  write_file(folder + "/lines", lines);
  const std::string program = std::string(MARTLET_PROGRAM) + " tokenize " + folder + " --json";
  EXPECT_EQ(output_of(scratch, program + " <" + folder + "/lines"), expected);
  EXPECT_EQ(output_of(scratch, program + " <" + folder + "/lines | " + program + " --decode"), back);
}

TEST(Tokenize, AnswersALineBeforeTheNextComes) {
  const Scratch scratch;
  const std::string folder = tokenizer_folder(scratch);
  const std::string script = "coproc M { " + std::string(MARTLET_PROGRAM) + " tokenize " + folder +
                             " --json; }\n"
                             "for text in '\"the\"' '\"he\"'; do echo \"$text\" >&${M[1]}\n"
                             "read -r -t 60 answer <&${M[0]} && echo \"$answer\"; done\n";
  const text::Tokenizer tokenizer = text::Tokenizer::load(folder);
  const auto ids = [&](const std::string& text) {
    std::string list;
    for (const int32_t id : tokenizer.encode(text)) list += (list.empty() ? "" : ", ") + std::to_string(id);
    return "[" + list + "]\n";
  };
  EXPECT_EQ(output_of(scratch, script), ids("the") + ids("he"));
}

TEST(Tokenize, NamesTheLineThatIsNoText) {
  const Scratch scratch;
  const std::string folder = tokenizer_folder(scratch);
  write_file(folder + "/lines", "\"a\"\n\"b\"\n7\n");
  EXPECT_EQ(output_of(scratch, std::string(MARTLET_PROGRAM) + " tokenize " + folder + " --json 2>&1 <" +
                                   folder + "/lines; test $? = 3"),
            "martlet: line 3: expected a JSON string, got an integer\n");
}

}  // namespace
}  // namespace martlet::cli

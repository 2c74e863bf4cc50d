// The verb `data`: a world becomes rows, rows become tokens, errors have their codes.

#include <algorithm>
#include <cstdlib>
#include <gmock/gmock.h>
#include <sys/wait.h>

#include "base/files.h"
#include "base/json.h"
#include "scratch.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

struct DataOutcome {
  int code;
  std::string out, err;
};

DataOutcome run_in(const Scratch& scratch, const std::string& words) {
  const std::string out = scratch.path() + "/out", err = scratch.path() + "/err";
  const std::string command =
      "cd " + scratch.path() + " && " + MARTLET_PROGRAM + " data " + words + " >" + out + " 2>" + err;
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
}

TEST(DataVerb, AWorldBecomesRowsInAFileOrAFolder) {
  const Scratch scratch;
  const DataOutcome printed = run_in(scratch, "tinyworld --documents 50 --seed 4");
  EXPECT_EQ(printed.code, 0) << printed.err;
  EXPECT_EQ(std::count(printed.out.begin(), printed.out.end(), '\n'), 50);
  EXPECT_EQ(run_in(scratch, "tinyworld --documents 50 --seed 4 -o rows.jsonl").code, 0);
  EXPECT_EQ(read_file(scratch.path() + "/rows.jsonl"), printed.out);
  EXPECT_EQ(run_in(scratch, "tinyworld --documents 50 --seed 4 -o made/").code, 0);
  EXPECT_EQ(read_file(scratch.path() + "/made/train.jsonl"), printed.out);
  const DataOutcome questions = run_in(scratch, "tinyworld --questions 20 --split test --languages zh");
  EXPECT_EQ(std::count(questions.out.begin(), questions.out.end(), '\n'), 20);
  EXPECT_THAT(questions.out, HasSubstr("\"language\": \"zh\""));
}

TEST(DataVerb, RowsOfIdsBecomeShardsWithCounts) {
  const Scratch scratch;
  write_file(scratch.path() + "/ids.jsonl", "{\"ids\": [1, 2, 3]}\n{\"ids\": [4, 5]}\n{\"ids\": [4, 5]}\n");
  const DataOutcome made =
      run_in(scratch, "tokens --data ids.jsonl --vocabulary 10 --deduplicate -o set --json");
  EXPECT_EQ(made.code, 0) << made.err;
  const Json counts = Json::parse(made.out, "counts");
  EXPECT_EQ(counts.at("documents").integer(), 2);
  EXPECT_EQ(counts.at("tokens").integer(), 5);
  EXPECT_EQ(counts.at("duplicates").integer(), 1);
  EXPECT_TRUE(file_exists(scratch.path() + "/set/tokens.json"));
  const DataOutcome stats = run_in(scratch, "stats ids.jsonl --json");
  EXPECT_EQ(Json::parse(stats.out, "statistics").at("documents").integer(), 3);
}

TEST(DataVerb, ErrorsHaveTheirCodes) {
  const Scratch scratch;
  EXPECT_EQ(run_in(scratch, "").code, 2);
  EXPECT_EQ(run_in(scratch, "tokns").code, 2);
  EXPECT_EQ(run_in(scratch, "tokens").code, 2);
  EXPECT_EQ(run_in(scratch, "tinyworld --kinds storie").code, 2);
  write_file(scratch.path() + "/ids.jsonl", "{\"ids\": [1, 2, 30]}\n");
  const DataOutcome outside = run_in(scratch, "tokens --data ids.jsonl --vocabulary 10 -o set");
  EXPECT_EQ(outside.code, 3);
  EXPECT_THAT(outside.err, HasSubstr("ids.jsonl:1: id 30"));
  EXPECT_EQ(run_in(scratch, "stats absent.txt").code, 3);
}

}  // namespace
}  // namespace martlet::cli

// A model of twice the memory that it may take, as a person runs it: under a real limit of the system, where
// one can be set here.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/json.h"
#include "base/random.h"
#include "drawn_file.h"
#include "run_program.h"
#include "tensor/allocator.h"
#include "text/sample_tokenizers.h"

namespace martlet::cli {
namespace {

namespace fs = std::filesystem;

/// A control group of memory below this process's own, version 1 or 2; `folder` is empty where none can be
/// made.
class MemoryGroup {
 public:
  explicit MemoryGroup(int64_t limit) {
    std::ifstream memberships("/proc/self/cgroup");
    for (std::string line; std::getline(memberships, line);) {
      const size_t second = line.find(':', line.find(':') + 1);
      if (second == std::string::npos) continue;
      const std::string own = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
      const bool first_version = line.find(":memory:") != std::string::npos;
      if (!first_version && !line.starts_with("0::")) continue;
      const std::string parent = (first_version ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup") + own;
      const std::string group = parent + "/martlet-test-" + std::to_string(::getpid());
      std::error_code error;
      if (!fs::create_directory(group, error)) continue;
      if (put(group + (first_version ? "/memory.limit_in_bytes" : "/memory.max"), std::to_string(limit))) {
        folder = group;
        return;
      }
      fs::remove(group, error);
    }
  }
  ~MemoryGroup() {
    std::error_code ignored;
    if (!folder.empty()) fs::remove(folder, ignored);
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;

  std::string folder;

 private:
  static bool put(const std::string& file, const std::string& value) {
    std::ofstream out(file);
    out << value << std::flush;
    return out.good();
  }
};

/// About 200 MB of weights.
class LargeModel : public ::testing::Test {
 protected:
  LargeModel() {
    write_drawn_file(path(), {.hidden = 768, .intermediate = 2048, .layers = 32, .heads = 12});
    write_file(scratch_.path() + "/p.jsonl", "{\"ids\": [1, 5, 9]}\n{\"ids\": [7, 96, 4, 4, 80]}\n");
  }

  std::string path() const { return scratch_.path() + "/large.gguf"; }
  std::string words() const {
    return path() + " --prompts " + scratch_.path() + "/p.jsonl -n 6 --temp 0 --ignore-eos --json";
  }

  /// What a call holds at most, pages of files included.
  int64_t peak_bytes(const std::string& its_words) const {
    const std::string command = std::string("exec ") + MARTLET_PROGRAM + " " + its_words + " > " +
                                scratch_.path() + "/out 2> " + scratch_.path() + "/err";
    release_cached_memory();  // a child counts from what it has of this process
    const pid_t child = ::fork();
    if (child == 0) {
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    int status = 0;
    rusage usage{};
    EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
    EXPECT_EQ(status, 0) << read_file(scratch_.path() + "/err");
    return usage.ru_maxrss * int64_t{1024};
  }

  Scratch scratch_;
};

TEST_F(LargeModel, RunsInHalfItsSizeWithTheSameReplies) {
  const auto size = static_cast<int64_t>(fs::file_size(path()));
  const Outcome free = run(scratch_, "run " + words());
  ASSERT_EQ(free.code, 0) << free.err;
  const std::string budget = " --memory " + std::to_string(size / 2);
  const Outcome streamed = run(scratch_, "run " + words() + budget);
  ASSERT_EQ(streamed.code, 0) << streamed.err;
  EXPECT_EQ(ids_of(streamed.out), ids_of(free.out));

  const MemoryGroup group(size / 2);
  if (group.folder.empty()) GTEST_SKIP() << "no control group of memory can be made here";
  // From the first start on, which rearranges the weights.
  fs::remove_all(scratch_.path() + "/cache");
  for (int start = 0; start < 2; ++start) {
    const std::string out = scratch_.path() + "/out";
    const std::string command = "sh -c 'echo $$ > " + group.folder + "/cgroup.procs && exec " +
                                MARTLET_PROGRAM + " run " + words() + budget + "' > " + out + " 2> " +
                                scratch_.path() + "/err";
    EXPECT_EQ(std::system(command.c_str()), 0) << read_file(scratch_.path() + "/err");
    EXPECT_EQ(ids_of(read_file(out)), ids_of(free.out)) << "start " << start;
  }
}

TEST_F(LargeModel, NoStartHoldsItsWeightsTwice) {
  const auto size = static_cast<int64_t>(fs::file_size(path()));
  // What the program itself takes: its code, threads, keys and values, and the parts that weights are made
  // in.
  constexpr int64_t kBesideWeights = 40 << 20;
  std::string replies;
  for (const char* start : {"first", "second", "without a cache"}) {
    const bool cached = start != std::string("without a cache");
    EXPECT_LT(peak_bytes("run " + words() + (cached ? "" : " --weight-cache off")), size + kBesideWeights)
        << start;
    const std::string out = read_file(scratch_.path() + "/out");
    if (replies.empty()) replies = ids_of(out).at(0);
    EXPECT_EQ(ids_of(out).at(0), replies) << start;
  }
}

TEST_F(LargeModel, ItSaysInALineWhatItDoes) {
  const auto size = static_cast<int64_t>(fs::file_size(path()));
  const Outcome streamed = run(scratch_, "run " + words() + " --memory " + std::to_string(size / 2));
  EXPECT_TRUE(streamed.err.starts_with("memory: ")) << streamed.err;
  EXPECT_NE(streamed.err.find("of 32 blocks held"), std::string::npos) << streamed.err;
  EXPECT_EQ(streamed.err.find("--loss"), std::string::npos) << "nothing was changed: " << streamed.err;
  const Outcome free = run(scratch_, "run " + words());
  EXPECT_EQ(free.err, "");
}

TEST_F(LargeModel, KeysAndValuesAreRoundedForABudgetAndNotWhereThatIsForbidden) {
  // Sixteen sequences of 128 tokens, whose keys and values in f16 take 64 MiB.
  std::string lines;
  for (int i = 0; i < 16; ++i) lines += "{\"ids\": [" + std::to_string(i + 1) + ", 5, 9]}\n";
  write_file(scratch_.path() + "/many.jsonl", lines);
  const std::string words =
      path() + " --prompts " + scratch_.path() + "/many.jsonl -n 120 --temp 1 --seed 3 --json";
  // A reply ends by chance after about ten tokens; planned is what it may become.
  std::string some_stop, all_stop;
  for (int id = 0; id < 97; ++id) (id < 10 ? some_stop : all_stop) += " --stop-token " + std::to_string(id);
  const auto size = static_cast<int64_t>(fs::file_size(path()));
  const std::string budget = " --memory " + std::to_string(size + (100 << 20));
  const std::string planned =
      "explain run " + path() + " --prompt-tokens 3 -n 120 --batch 16 --json" + budget;
  const Json plan = Json::parse(run(scratch_, planned).out, "plan").at("memory");
  EXPECT_EQ(plan.at("formats").string(), "weights as they are, keys and values in q8");
  EXPECT_EQ(plan.at("streamed_bytes").integer(), 0);
  EXPECT_GT(plan.at("loss").real(), 0);
  EXPECT_GT(plan.at("weighed").array()[0].at("streamed_bytes").integer(), 0) << "as it is, it would stream";
  // And so it runs.
  const Outcome rounded = run(scratch_, "run " + words + some_stop + budget);
  ASSERT_EQ(rounded.code, 0) << rounded.err;
  EXPECT_NE(rounded.err.find("keys and values in q8"), std::string::npos) << rounded.err;
  EXPECT_NE(rounded.err.find("--loss 0 forbids it"), std::string::npos) << rounded.err;
  const Outcome same = run(scratch_, "run " + words + some_stop + " --kv-cache q8");
  EXPECT_EQ(ids_of(rounded.out), ids_of(same.out));
  EXPECT_GT(rounded.out.size(), size_t{16 * 100}) << "replies of a few tokens: " << rounded.out;
  // Where every token ends a reply, the plan is what counts.
  const Outcome exact = run(scratch_, "run " + words + budget + " --loss 0" + some_stop + all_stop);
  EXPECT_EQ(exact.code, 0) << exact.err;
  EXPECT_NE(exact.err.find("weights as they are, keys and values as they are"), std::string::npos)
      << exact.err;
  EXPECT_NE(exact.err.find("read from disk"), std::string::npos) << exact.err;
}

TEST_F(LargeModel, ADamagedWeightCacheIsMendedWhileItStreams) {
  const auto size = static_cast<int64_t>(fs::file_size(path()));
  const std::string budget = " --memory " + std::to_string(size / 2);
  const Outcome good = run(scratch_, "run " + words() + budget);
  ASSERT_EQ(good.code, 0) << good.err;
  fs::path file;
  for (const auto& each : fs::recursive_directory_iterator(scratch_.path()))
    if (each.path().extension() == ".weights") file = each.path();
  ASSERT_FALSE(file.empty());
  const std::string content = read_file(file);
  const Philox random(9);
  for (uint64_t draw = 0; draw < 4; ++draw) {
    FILE* raw = std::fopen(file.c_str(), "r+");
    const size_t at = content.size() / 10 + random.below(draw, content.size() / 10 * 8);
    std::fseek(raw, static_cast<long>(at), SEEK_SET);
    std::fputc(content[at] ^ 0x20, raw);
    std::fclose(raw);
    const Outcome again = run(scratch_, "run " + words() + budget);
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(ids_of(again.out), ids_of(good.out)) << "byte " << at;
    EXPECT_EQ(read_file(file) == content, true) << "byte " << at;
  }
  fs::resize_file(file, content.size() / 2);
  const Outcome cut = run(scratch_, "run " + words() + budget);
  EXPECT_EQ(ids_of(cut.out), ids_of(good.out)) << cut.err;
  EXPECT_EQ(read_file(file) == content, true);
}

TEST_F(LargeModel, AModelThatGuessesIsCounted) {
  const auto size = static_cast<int64_t>(fs::file_size(path()));
  const std::string alone = "run " + words() + " --memory " + std::to_string(size + (100 << 20));
  const Outcome held = run(scratch_, alone);
  EXPECT_NE(held.err.find("all weights held"), std::string::npos) << held.err;
  const Outcome both = run(scratch_, alone + " --speculate " + path());
  ASSERT_EQ(both.code, 0) << both.err;
  EXPECT_NE(both.err.find("of 32 blocks held"), std::string::npos) << both.err;
  EXPECT_EQ(ids_of(both.out), ids_of(held.out));
  const Outcome little = run(scratch_, "run " + words() + " --memory 200M --speculate " + path());
  EXPECT_EQ(little.code, 4);
  EXPECT_NE(little.err.find("the model that guesses"), std::string::npos) << little.err;
}

TEST_F(LargeModel, WithoutABudgetItKeepsWithinWhatIsFree) {
  const auto size = static_cast<int64_t>(fs::file_size(path()));
  const Outcome free = run(scratch_, "run " + words());
  const auto in_group = [&](int64_t limit) -> std::optional<Outcome> {
    const MemoryGroup group(limit);
    if (group.folder.empty()) return std::nullopt;
    const std::string out = scratch_.path() + "/out", err = scratch_.path() + "/err";
    const std::string command = "sh -c 'echo $$ > " + group.folder + "/cgroup.procs && exec " +
                                MARTLET_PROGRAM + " run " + words() + "' > " + out + " 2> " + err;
    const int status = std::system(command.c_str());
    return Outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
  };
  for (int start = 0; start < 2; ++start) {
    if (start == 0) fs::remove_all(scratch_.path() + "/cache");
    const std::optional<Outcome> limited = in_group(size / 2);
    if (!limited) GTEST_SKIP() << "no control group of memory can be made here";
    EXPECT_EQ(limited->code, 0) << limited->err;
    EXPECT_EQ(ids_of(limited->out), ids_of(free.out)) << "start " << start;
    EXPECT_NE(limited->err.find("that are free"), std::string::npos) << limited->err;
    EXPECT_NE(limited->err.find("of 32 blocks held"), std::string::npos) << limited->err;
    EXPECT_NE(limited->err.find("--memory SIZE"), std::string::npos) << limited->err;
  }
  const std::optional<Outcome> refused = in_group(48 << 20);
  EXPECT_EQ(refused->code, 4) << refused->err;
  EXPECT_NE(refused->err.find("the smallest that would do is"), std::string::npos) << refused->err;
  EXPECT_NE(refused->err.find("--memory"), std::string::npos) << refused->err;
}

TEST_F(LargeModel, AskedForTooLittleTheSmallestMemoryIsTold) {
  const Outcome little = run(scratch_, "run " + words() + " --memory 20M");
  EXPECT_EQ(little.code, 4) << little.out;
  EXPECT_NE(little.err.find("the smallest that would do is"), std::string::npos) << little.err;
  // And it would.
  const Outcome told =
      run(scratch_, "explain run " + path() + " --prompt-tokens 5 -n 6 --batch 2 --memory 20M --json");
  EXPECT_EQ(told.code, 4);
  const Json plan = Json::parse(told.out, "plan");
  EXPECT_FALSE(plan.at("fits").boolean());
  const int64_t least = plan.at("memory").at("least_bytes").integer();
  const Outcome enough = run(scratch_, "run " + words() + " --memory " + std::to_string(least + (4 << 20)));
  EXPECT_EQ(enough.code, 0) << enough.err;
}

TEST_F(LargeModel, PackedWeightsThatCannotStreamSayWhatWouldLetThem) {
  const auto half = static_cast<int64_t>(fs::file_size(path()) / 2);
  const std::string budget = "run " + words() + " --memory " + std::to_string(half);
  const Outcome without = run(scratch_, budget + " --weight-cache off");
  EXPECT_EQ(without.code, 4);
  EXPECT_NE(without.err.find("with --weight-cache on"), std::string::npos) << without.err;
  const Outcome too_little = run(scratch_, "run " + words() + " --memory 1M");
  EXPECT_EQ(too_little.err.find("with --weight-cache on"), std::string::npos) << too_little.err;
}

TEST_F(LargeModel, ThePlanSaysWhatIsHeldAndWhatStreams) {
  const auto size = static_cast<int64_t>(fs::file_size(path()));
  const std::string words =
      "explain run " + path() + " --prompt-tokens 8 -n 8 --memory " + std::to_string(size / 2);
  const Outcome told = run(scratch_, words + " --json --analyze");
  ASSERT_EQ(told.code, 0) << told.err;
  const Json plan = Json::parse(told.out, "plan");
  const Json& memory = plan.at("memory");
  EXPECT_EQ(memory.at("blocks").integer(), 32);
  EXPECT_GT(memory.at("held_blocks").integer(), 0);
  EXPECT_LT(memory.at("held_blocks").integer(), 32);
  EXPECT_LE(memory.at("total_bytes").integer(), size / 2);
  EXPECT_GT(memory.at("disk_bandwidth").real(), 0);
  EXPECT_GT(plan.at("measured").at("decode_tokens_per_s").real(), 0);
  EXPECT_GE(memory.at("alternatives").array().size(), 2u);
  for (const Json& each : memory.at("alternatives").array())
    EXPECT_NE(each.at("what").string(), "weights in q8_0") << "what they are in already";
  EXPECT_GT(plan.at("measured").at("process_bytes").integer(), 0);
  EXPECT_LE(plan.at("measured").at("process_bytes").integer(), size / 2);
  const Outcome people = run(scratch_, words);
  EXPECT_NE(people.out.find("weighed:"), std::string::npos);
  EXPECT_NE(people.out.find("stream "), std::string::npos);
}

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
class LargeReader : public ::testing::Test {
 protected:
  LargeReader() {
    const std::string file = scratch_.path() + "/m.gguf";
    const Json tokenizer = text::byte_level_json();
    const int64_t vocabulary = text::Tokenizer::from_json(tokenizer, "test").vocabulary_size();
    write_drawn_file(
        file, {.hidden = 768, .intermediate = 2048, .layers = 32, .heads = 12, .vocabulary = vocabulary});
    EXPECT_EQ(run(scratch_, "convert " + file + " --packed -o " + model()).code, 0);
    write_file(model() + "/tokenizer.json", tokenizer.dump());
    std::string text;
    for (int i = 0; i < 60; ++i) text += "the cat sat on mat number " + std::to_string(i * i) + "\n";
    write_file(scratch_.path() + "/text.txt", text);
  }
  std::string model() const { return scratch_.path() + "/model"; }
  std::string text() const { return scratch_.path() + "/text.txt"; }

  Scratch scratch_;
};

TEST_F(LargeReader, LearnsTheSameImportanceWithinABudget) {
  const auto call = [&](const std::string& name, const std::string& budget) {
    return run(scratch_, "quantize " + model() + " --to q8_0 --imatrix " + text() + " --save-imatrix " +
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
  const std::string words =
      "perplexity " + model() + " " + text() + " --windows 1 --json --against " + model();
  const Outcome free = run(scratch_, words);
  ASSERT_EQ(free.code, 0) << free.err;
  const Outcome streamed = run(scratch_, words + " --memory 240M");
  ASSERT_EQ(streamed.code, 0) << streamed.err;
  EXPECT_EQ(streamed.out, free.out);
  const size_t first = streamed.err.find("of 32 blocks held");
  EXPECT_NE(first, std::string::npos) << streamed.err;
  EXPECT_NE(streamed.err.find("of 32 blocks held", first + 1), std::string::npos) << streamed.err;
}

}  // namespace
}  // namespace martlet::cli

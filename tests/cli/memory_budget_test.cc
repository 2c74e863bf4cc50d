// A model of twice the memory that it may take, as a person runs it: under a real limit of the system, where
// one can be set here.

#include <fstream>
#include <optional>

#include "base/checksum.h"
#include "base/json.h"
#include "base/random.h"
#include "large_model.h"
#include "support/quantised_model.h"
#include "support/random_model.h"

namespace martlet::cli {
namespace {

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
    const Outcome limited = run_in(group, "run " + words() + budget);
    EXPECT_EQ(limited.code, 0) << limited.err;
    EXPECT_EQ(ids_of(limited.out), ids_of(free.out)) << "start " << start;
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
  const fs::path file = cache_file();
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
    return run_in(group, "run " + words());
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

/// As other tools, and this program with `--packed`, leave them.
class LargeDirectory : public Large, public ::testing::WithParamInterface<std::string_view> {
 protected:
  LargeDirectory() : Large("large") {
    const bool packed = GetParam() == "packed";
    const std::string_view method = packed ? "gptq" : GetParam();
    Json config = martlet::testing::small_llama_config();
    config.set("hidden_size", 768)
        .set("intermediate_size", 2048)
        .set("num_hidden_layers", method == "gptq" ? kLayersOfFourBits : kLayersOfEightBits)
        .set("num_attention_heads", 12)
        .set("num_key_value_heads", 4);
    martlet::testing::write_quantised_directory(packed ? source() : path(), config, method, 1);
    if (packed) {
      // Its matrices are q4_0 already: what is asked for is kept in its martlet.toml.
      const std::string apply = "apply " + source() + " quantize to=q4_0 pattern='layers.**' --packed -o ";
      EXPECT_EQ(run(scratch_, apply + path()).code, 0);
    }
  }

  static constexpr int kLayersOfFourBits = 56, kLayersOfEightBits = 30;
  std::string source() const { return scratch_.path() + "/source"; }
  int64_t size() const { return static_cast<int64_t>(fs::file_size(path() + "/model.safetensors")); }
  std::string half() const { return " --memory " + std::to_string(size() / 2); }

  /// A byte of the kept weights is flipped; `ids` are what is replied.
  void expect_damage_is_mended(const std::vector<std::string>& ids) const {
    const fs::path file = cache_file();
    const auto content = [&file] {
      const std::string bytes = read_file(file);
      return checksum(std::as_bytes(std::span(bytes)));
    };
    const uint32_t good = content();
    std::fstream raw(file, std::ios::in | std::ios::out | std::ios::binary);
    const auto at = static_cast<std::streamoff>(fs::file_size(file) / 2);
    raw.seekg(at);
    const int byte = raw.get();
    raw.seekp(at);
    raw.put(static_cast<char>(byte ^ 0x20));
    raw.close();
    ASSERT_NE(content(), good);
    EXPECT_LT(peak_bytes("run " + words() + half()), size() / 2) << "what is made anew is one matrix";
    EXPECT_EQ(ids_of(read_file(scratch_.path() + "/out")), ids);
    EXPECT_EQ(content(), good);
  }
};

TEST_P(LargeDirectory, StreamsInHalfItsSizeWithTheSameReplies) {
  const Outcome free = run(scratch_, "run " + words() + " --weight-cache off");
  ASSERT_EQ(free.code, 0) << free.err;
  for (int start = 0; start < 2; ++start) {
    const Outcome streamed = run(scratch_, "run " + words() + half());
    ASSERT_EQ(streamed.code, 0) << streamed.err;
    EXPECT_EQ(ids_of(streamed.out), ids_of(free.out)) << "start " << start;
    EXPECT_NE(streamed.err.find("blocks held"), std::string::npos) << streamed.err;
  }
  const Outcome held = run(scratch_, "run " + words());
  EXPECT_EQ(ids_of(held.out), ids_of(free.out)) << "from the same file, mapped";
  const std::string words = "explain run " + path() + " --prompt-tokens 8 -n 8 --analyze --json" + half();
  const Outcome told = run(scratch_, words);
  ASSERT_EQ(told.code, 0) << told.err;
  const Json plan = Json::parse(told.out, "plan");
  EXPECT_GT(plan.at("memory").at("streamed_bytes").integer(), 0);
  EXPECT_LE(plan.at("memory").at("total_bytes").integer(), size() / 2);
  EXPECT_LE(plan.at("measured").at("process_bytes").integer(), size() / 2);
  expect_damage_is_mended(ids_of(free.out));
}

TEST_P(LargeDirectory, NoStartHoldsItsWeightsTwice) {
  constexpr int64_t kBesideWeights = 40 << 20;
  for (const std::string_view start : {"first", "second", "without a cache"}) {
    const std::string how = start == "without a cache" ? " --weight-cache off" : "";
    EXPECT_LT(peak_bytes("run " + words() + how), size() + kBesideWeights) << start;
  }
  fs::remove_all(scratch_.path() + "/cache");
  for (const std::string_view start : {"first", "second"})
    EXPECT_LT(peak_bytes("run " + words() + half()), size() / 2) << start << ", streaming";
}

TEST_P(LargeDirectory, TheFirstStartKeepsWithinALimitOfTheSystem) {
  const Outcome free = run(scratch_, "run " + words() + " --weight-cache off");
  const MemoryGroup group(size() / 2);
  if (group.folder.empty()) GTEST_SKIP() << "no control group of memory can be made here";
  const Outcome limited = run_in(group, "run " + words() + half());
  EXPECT_EQ(limited.code, 0) << limited.err;
  EXPECT_EQ(ids_of(limited.out), ids_of(free.out));
}

INSTANTIATE_TEST_SUITE_P(Methods, LargeDirectory, ::testing::Values("gptq", "bitsandbytes", "packed"),
                         [](const auto& its) { return std::string(its.param); });

}  // namespace
}  // namespace martlet::cli

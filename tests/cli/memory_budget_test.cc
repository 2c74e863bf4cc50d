// A model of twice the memory that it may take, as a person runs it: under a real limit of the system, where
// one can be set here.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/random.h"
#include "models/save_gguf.h"
#include "nn/tree.h"
#include "run_program.h"
#include "support/random_model.h"

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

/// q8_0 weights of drawn codes, about 200 MB of them.
class LargeModel : public ::testing::Test {
 protected:
  LargeModel() {
    Json config = martlet::testing::small_llama_config();
    config.set("hidden_size", 768).set("intermediate_size", 2048).set("num_hidden_layers", 32);
    config.set("num_attention_heads", 12).set("num_key_value_heads", 4).set("max_position_embeddings", 256);
    models::OpenModel model;
    model.family = &models::family_named("llama");
    model.config = config;
    model.tree = model.family->build(Fields(config, "config"));
    nn::walk_parameters(*model.tree, [](const std::string& path, nn::Parameter& parameter) {
      if (parameter.shape().rank() == 2)
        parameter.set(drawn(parameter.shape()[0], parameter.shape()[1], stream_of(path)));
      else
        parameter.set(Tensor::from(std::vector<float>(static_cast<size_t>(parameter.element_count()), 1.0F),
                                   parameter.shape()));
    });
    models::save_gguf(model, path());
    write_file(scratch_.path() + "/p.jsonl", "{\"ids\": [1, 5, 9]}\n{\"ids\": [7, 96, 4, 4, 80]}\n");
  }

  static ops::Weight drawn(int64_t rows, int64_t columns, uint64_t seed) {
    const ops::PackedFormat& format = *ops::find_packed_format("q8_0");
    const Tensor bytes = Tensor::empty({rows, format.row_bytes(columns)}, DType::kU8);
    uint64_t state = seed | 1;
    uint8_t* to = bytes.mutable_data<uint8_t>();
    for (int64_t i = 0; i < bytes.element_count(); ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      to[i] = static_cast<uint8_t>(state >> 56);
      // The scale of a block, an f16 of about 0.0004.
      if (i % format.block_bytes < 2) to[i] = i % format.block_bytes == 0 ? 0x8e : 0x0e;
    }
    return ops::Weight(format, bytes, columns);
  }

  std::string path() const { return scratch_.path() + "/large.gguf"; }
  std::string words() const {
    return path() + " --prompts " + scratch_.path() + "/p.jsonl -n 6 --temp 0 --ignore-eos --json";
  }

  /// The ids of every reply.
  static std::vector<std::string> ids_of(const std::string& lines) {
    std::vector<std::string> ids;
    std::istringstream stream(lines);
    for (std::string line; std::getline(stream, line);)
      ids.push_back(Json::parse(line, "row").at("ids").dump());
    return ids;
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
  const Outcome people = run(scratch_, words);
  EXPECT_NE(people.out.find("also weighed"), std::string::npos);
  EXPECT_NE(people.out.find("stream "), std::string::npos);
}

}  // namespace
}  // namespace martlet::cli

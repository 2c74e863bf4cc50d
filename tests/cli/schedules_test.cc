// One question, one answer: greedy replies in schedules drawn over everything that may change how a reply is
// computed, and must not change what it is. bench/schedules.py draws a thousand of them on a real model.

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <map>

#include "base/random.h"
#include "drawn_file.h"
#include "run_program.h"

namespace martlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kMostTokens = 20;

class Schedules : public ::testing::Test {
 protected:
  Schedules() {
    write_drawn_file(model(), {.hidden = 384, .intermediate = 1024, .layers = 24, .heads = 6});
    write_drawn_file(draft(), {.hidden = 384, .intermediate = 256, .layers = 2, .heads = 6});
    const Philox random(1);
    uint64_t draw = 0;
    std::vector<int64_t> shared(40);
    for (int64_t& id : shared) id = static_cast<int64_t>(random.below(draw++, 97));
    for (int prompt = 0; prompt < 9; ++prompt) {
      // Short ones, some behind a shared beginning, and such that repeat themselves.
      Json::Array ids;
      if (prompt % 3 == 1)
        for (const int64_t id : shared) ids.emplace_back(id);
      for (int i = 0; i < 3 + prompt; ++i) ids.emplace_back(static_cast<int64_t>(random.below(draw++, 97)));
      if (prompt % 3 == 2) {
        const Json::Array once = ids;
        for (int i = 0; i < 3; ++i) ids.insert(ids.end(), once.begin(), once.end());
      }
      prompts_.push_back(Json().set("ids", ids).dump());
    }
  }

  std::string model() const { return scratch_.path() + "/model.gguf"; }
  std::string draft() const { return scratch_.path() + "/draft.gguf"; }

  Outcome reply(const std::vector<size_t>& asked, const std::string& words) const {
    std::string lines;
    for (const size_t prompt : asked) lines += prompts_[prompt] + "\n";
    write_file(scratch_.path() + "/asked.jsonl", lines);
    return run(scratch_, "run " + model() + " --prompts " + scratch_.path() +
                             "/asked.jsonl --temp 0 --ignore-eos --json " + words);
  }

  /// A prompt alone, on one thread, with nothing kept from before: its ids, one an entry.
  const std::vector<int64_t>& truth(size_t prompt, const std::string& cache) {
    std::vector<int64_t>& ids = truth_[{prompt, cache}];
    if (ids.empty()) {
      const Outcome alone = reply(
          {prompt},
          fmt::format("-n {} --batch 1 --threads 1 --weight-cache off --kv-cache {}", kMostTokens, cache));
      EXPECT_EQ(alone.code, 0) << alone.err;
      const Json row = Json::parse(alone.out, "row");
      for (const Json& id : row.at("ids").array()) ids.push_back(id.integer());
    }
    return ids;
  }

  int64_t least_memory() const {
    const Outcome told =
        run(scratch_, "explain run " + model() + " --memory 1M --prompt-tokens 60 -n 20 --batch 6 --json");
    return Json::parse(told.out, "plan").at("memory").at("least_bytes").integer();
  }

  /// One bit of one file below a folder, if there is one.
  static bool flip(const std::string& folder, const Philox& random) {
    std::vector<fs::path> files;
    if (fs::exists(folder))
      for (const auto& file : fs::recursive_directory_iterator(folder))
        if (file.is_regular_file()) files.push_back(file.path());
    if (files.empty()) return false;
    const fs::path& path = files[random.below(900, files.size())];
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto at = static_cast<int64_t>(random.below(901, fs::file_size(path)));
    file.seekg(at);
    const int byte = file.get();
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 0x20));
    return true;
  }

  Scratch scratch_;
  std::vector<std::string> prompts_;
  std::map<std::pair<size_t, std::string>, std::vector<int64_t>> truth_;
};

TEST_F(Schedules, EveryReplyIsThatOfItsPromptAlone) {
  const std::string kept_prompts = scratch_.path() + "/prompts", kept_weights = scratch_.path() + "/weights";
  const int64_t least = least_memory();
  const auto size = static_cast<int64_t>(fs::file_size(model()));
  const std::vector<std::string> caches = {"f32", "f16", "q8", "q4"};
  const std::vector<std::string> guessers = {"off", "ngram", "early", "early:12", draft()};
  int64_t accepted = 0, damaged = 0, streamed = 0;
  for (uint64_t schedule = 0; schedule < 24; ++schedule) {
    const Philox random(schedule);
    uint64_t draw = 0;
    const auto pick = [&](uint64_t bound) { return random.below(draw++, bound); };
    std::vector<size_t> asked(1 + pick(6));
    for (size_t& prompt : asked) prompt = pick(prompts_.size());
    const std::string& cache = caches[pick(caches.size())];
    const uint64_t tokens = 1 + pick(kMostTokens);
    std::string words =
        fmt::format("-n {} --kv-cache {} --batch {} --threads {} --speculate {} --draft {}", tokens, cache,
                    1 + pick(6), 1 + pick(3), guessers[pick(guessers.size())], 1 + pick(6));
    if (pick(2) == 0) words += " --prompt-cache " + kept_prompts;
    // Packed weights stream from the file that is kept of them.
    const bool streams = pick(3) == 0, keeps = streams || pick(3) > 0;
    words += " --weight-cache " + (keeps ? kept_weights : std::string("off"));
    if (streams) {
      words +=
          fmt::format(" --memory {}", least + static_cast<int64_t>(pick(static_cast<uint64_t>(size / 2))));
      ++streamed;
    } else if (keeps && pick(3) == 0) {
      damaged += flip(pick(2) == 0 ? kept_prompts : kept_weights, random) ? 1 : 0;
    }
    SCOPED_TRACE(fmt::format("schedule {}: {}", schedule, words));
    const Outcome outcome = reply(asked, words);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    std::istringstream lines(outcome.out);
    std::string line;
    for (const size_t prompt : asked) {
      ASSERT_TRUE(std::getline(lines, line));
      const Json row = Json::parse(line, "row");
      const std::vector<int64_t>& alone = truth(prompt, cache);
      std::vector<int64_t> got;
      for (const Json& id : row.at("ids").array()) got.push_back(id.integer());
      ASSERT_EQ(got, std::vector<int64_t>(alone.begin(), alone.begin() + static_cast<int64_t>(tokens)));
      if (const Json* held = row.find("accepted")) accepted += held->integer();
    }
  }
  EXPECT_GT(accepted, 10) << "guesses that held were among them";
  EXPECT_GT(damaged, 1);
  EXPECT_GT(streamed, 3);
}

}  // namespace
}  // namespace martlet::cli

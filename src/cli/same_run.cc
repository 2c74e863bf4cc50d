#include "cli/same_run.h"

#include <algorithm>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "data/token_set.h"

namespace martlet::cli {
namespace {

// Options that decide how long, how fast and before whose eyes a run learns, and not what. Steps belong here
// although a schedule runs over all of them: a longer run is what many go on for.
constexpr std::string_view kFree[] = {
    "steps",      "threads",      "memory",        "checkpoint_every", "keep",    "keep_best",
    "eval_every", "sample_every", "sample_prompt", "sample_tokens",    "metrics", "tensorboard",
    "name",       "runs",         "no_log",        "on_spike",         "out",     "resume",
    "change",     "log",
};

std::string file_of(const TrainRequest& request) {
  return request.out + "/run.json";
}

bool is_free(std::string_view key) {
  return std::find(std::begin(kFree), std::end(kFree), key) != std::end(kFree);
}

std::string flag_of(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return "--" + key;
}

/// "--batch 8", "--data a.txt --data b.txt", "no --init".
std::string told(const std::string& key, const Json& value) {
  const std::string flag = flag_of(key);
  std::vector<std::string> words;
  const auto add = [&](const Json& each) {
    const std::string text = each.is_string()                         ? each.string()
                             : each.is_number() && !each.is_integer() ? fmt::format("{}", each.real())
                                                                      : each.dump();
    if (!text.empty()) words.push_back(flag + " " + text);
  };
  if (value.is_array())
    for (const Json& each : value.array()) add(each);
  else
    add(value);
  return words.empty() ? "no " + flag : fmt::format("{}", fmt::join(words, " "));
}

Json what_stays(const Json& asked) {
  Json stays{Json::Object{}};
  for (const auto& [key, value] : asked.object())
    if (!is_free(key)) stays.set(key, value);
  return stays;
}

/// The keys of --change, however they are written.
std::vector<std::string> changed_keys(const TrainRequest& request, const Json& asked) {
  std::vector<std::string> known, keys;
  for (const auto& [key, value] : asked.object()) known.push_back(key);
  for (std::string word : request.change) {
    word.erase(0, word.find_first_not_of('-'));
    std::replace(word.begin(), word.end(), '-', '_');
    if (std::find(known.begin(), known.end(), word) == known.end()) {
      const std::optional<std::string> nearest = nearest_name(word, known);
      fail(ErrorCode::kUsage, "--change names no option of train: '{}'{}", word,
           nearest ? fmt::format("; did you mean {}?", *nearest) : "");
    }
    keys.push_back(std::move(word));
  }
  return keys;
}

}  // namespace

void refuse_changes(const TrainRequest& request, const Json& asked) {
  const std::vector<std::string> changes = changed_keys(request, asked);
  // Nothing was done yet that other options would make useless.
  if (!is_directory(request.out + "/checkpoints") && !data::is_token_set(request.out + "/tokens")) return;
  if (!file_exists(file_of(request))) return;
  const Json before = Json::parse_file(file_of(request));
  const Json now = what_stays(asked);
  std::vector<std::string> then_told, now_told, keys;
  for (const auto& [key, value] : now.object()) {
    const Json* then = before.is_object() ? before.find(key) : nullptr;
    if (then == nullptr || then->dump() == value.dump()) continue;
    if (std::find(changes.begin(), changes.end(), key) != changes.end()) continue;
    keys.push_back(key);
    then_told.push_back(told(key, *then));
    now_told.push_back(told(key, value));
  }
  if (keys.empty()) return;
  std::vector<std::string> free;
  for (const std::string_view key : kFree)
    if (key != "out" && key != "resume" && key != "change") free.push_back(flag_of(std::string(key)));
  bad_input(
      "{}: the run began with {} and is to go on with {}, which would change what it learns: give what it "
      "began with, name another --out, or allow it with --change {}; what may always change are {}",
      request.out, fmt::join(then_told, ", "), fmt::join(now_told, ", "), fmt::join(keys, " --change "),
      fmt::join(free, ", "));
}

void remember_options(const TrainRequest& request, const Json& asked) {
  write_file(file_of(request), what_stays(asked).dump(2) + "\n");
}

}  // namespace martlet::cli

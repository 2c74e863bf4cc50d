#include "cli/store.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "base/json.h"
#include "cli/sources/source.h"

namespace martlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSourceFile = "martlet-source.json";
constexpr const char* kIncoming = ".incoming";
constexpr const char* kOriginFile = ".origin";  // of what is incoming

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

[[noreturn]] void file_system_failure(const fs::filesystem_error& error) {
  const bool full = error.code() == std::errc::no_space_on_device;
  fail(full ? ErrorCode::kExhausted : ErrorCode::kFailed, "{}: {}", error.path1().string(),
       error.code().message());
}

StoredModel read_entry(const std::string& name, const fs::path& folder) {
  StoredModel model;
  model.name = name;
  model.path = folder.string();
  const Json source = Json::parse_file((folder / kSourceFile).string());
  if (const Json* licence = source.find("licence"); licence != nullptr && licence->is_string())
    model.licence = licence->string();
  if (const Json* origin = source.find("origin"); origin != nullptr && origin->is_string())
    model.origin = origin->string();
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(folder))
    if (file.is_regular_file() && file.path().filename() != kSourceFile) model.bytes += file.file_size();
  return model;
}

/// The GGUF file (or the first of a split set) when the folder holds no config.json, else the folder.
std::string loadable_path(const StoredModel& model) {
  if (file_exists(model.path + "/config.json")) return model.path;
  std::vector<std::string> files;
  for (const fs::directory_entry& file : fs::directory_iterator(model.path))
    if (file.path().extension() == ".gguf") files.push_back(file.path().string());
  std::sort(files.begin(), files.end());
  return files.empty() ? model.path : files.front();
}

/// The folder that the variable names, else the one below the home folder.
std::string home_folder(const char* variable, std::string_view below_home) {
  std::string folder = environment(variable);
  // The XDG specification says to ignore a relative path there.
  if (!folder.empty() && folder.front() == '/') return folder;
  folder = environment("HOME");
  if (folder.empty())
    fail(ErrorCode::kUsage, "there is no place for files: set HOME or {} to a folder", variable);
  return folder.append(below_home);
}

}  // namespace

std::string data_folder() {
  return home_folder("XDG_DATA_HOME", "/.local/share") + "/martlet";
}

std::string cache_folder() {
  return home_folder("XDG_CACHE_HOME", "/.cache") + "/martlet";
}

std::string store_root() {
  return data_folder() + "/models";
}

std::vector<StoredModel> stored_models() {
  std::vector<StoredModel> models;
  const std::string root = store_root();
  if (!is_directory(root)) return models;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(root)) {
      const std::string name = entry.path().filename().string();
      if (!entry.is_directory() || name.starts_with(".")) continue;
      if (fs::exists(entry.path() / kSourceFile)) {
        models.push_back(read_entry(name, entry.path()));
        continue;
      }
      for (const fs::directory_entry& inner : fs::directory_iterator(entry.path()))
        if (inner.is_directory() && fs::exists(inner.path() / kSourceFile))
          models.push_back(read_entry(name + "/" + inner.path().filename().string(), inner.path()));
    }
  } catch (const fs::filesystem_error& error) {
    file_system_failure(error);
  }
  std::sort(models.begin(), models.end(),
            [](const StoredModel& a, const StoredModel& b) { return a.name < b.name; });
  return models;
}

std::string resolve_model(const std::string& model) {
  if (is_directory(model) || file_exists(model)) return model;
  std::vector<std::string> known;
  for (const StoredModel& stored : stored_models()) {
    if (stored.name == model) return loadable_path(stored);
    known.push_back(stored.name);
  }
  for (const std::string& name : short_names())
    if (name == model)
      bad_input("the model '{}' is not in the store yet; `martlet pull {}` brings it", model, model);
  const std::optional<std::string> nearest = nearest_name(model, known);
  bad_input("'{}' is no directory, no file and no model of the store{}; `martlet models` lists the store",
            model, nearest ? fmt::format(" (did you mean {}?)", *nearest) : "");
}

void remove_stored_model(const std::string& name) {
  std::vector<std::string> known;
  for (const StoredModel& stored : stored_models()) {
    known.push_back(stored.name);
    if (stored.name != name) continue;
    try {
      // Out of sight in one step, so that a cut leaves no half model under the name.
      const fs::path doomed =
          fs::path(store_root()) / kIncoming / ("removed-" + fs::path(name).filename().string());
      make_directories(doomed.parent_path().string());
      fs::remove_all(doomed);
      fs::rename(stored.path, doomed);
      fs::remove_all(doomed);
      if (name.find('/') != std::string::npos && fs::is_empty(fs::path(stored.path).parent_path()))
        fs::remove(fs::path(stored.path).parent_path());
    } catch (const fs::filesystem_error& error) {
      file_system_failure(error);
    }
    return;
  }
  const std::optional<std::string> nearest = nearest_name(name, known);
  bad_input("there is no model '{}' in the store{}", name,
            nearest ? fmt::format(" (did you mean {}?)", *nearest) : "");
}

void check_store_name(std::string_view name) {
  const auto good_word = [](std::string_view word) {
    return !word.empty() && word.front() != '.' && word.front() != '-' &&
           std::all_of(word.begin(), word.end(), [](unsigned char c) {
             return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
           });
  };
  const size_t slash = name.find('/');
  const bool good = slash == std::string_view::npos
                        ? good_word(name)
                        : good_word(name.substr(0, slash)) && good_word(name.substr(slash + 1));
  if (!good)
    fail(ErrorCode::kUsage,
         "'{}' cannot name a model: use letters, digits, '.', '_' and '-', with at most one '/'", name);
}

IncomingModel::IncomingModel(std::string name) : name_(std::move(name)) {
  check_store_name(name_);
  std::string flat = name_;
  std::replace(flat.begin(), flat.end(), '/', '@');  // '@' is in no name, so that two never share a folder
  folder_ = store_root() + "/" + kIncoming + "/" + flat;
  make_directories(folder_);
  lock_ = ::open((folder_ + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(lock_);
    failed("'{}' is being brought by another martlet right now; wait for it, or stop it and pull again",
           name_);
  }
}

void IncomingModel::begin(std::string_view origin) {
  const fs::path mark = fs::path(folder_) / kOriginFile;
  try {
    if (!fs::exists(mark) || read_file(mark.string()) != origin) {
      fs::remove_all(folder_);
      make_directories(folder_);
    }
  } catch (const fs::filesystem_error& error) {
    file_system_failure(error);
  }
  write_file(mark.string(), origin);
}

IncomingModel::~IncomingModel() {
  if (lock_ >= 0) ::close(lock_);
}

void IncomingModel::commit(std::string_view origin, std::string_view licence) {
  Json source;
  source.set("origin", origin).set("licence", licence);
  write_file(folder_ + "/" + kSourceFile, source.dump(2) + "\n");
  const fs::path target = fs::path(store_root()) / name_;
  try {
    fs::remove(fs::path(folder_) / kOriginFile);
    make_directories(target.parent_path().string());
    if (fs::exists(target)) {
      const fs::path old = folder_ + ".old";
      fs::remove_all(old);
      fs::rename(target, old);
      fs::rename(folder_, target);
      fs::remove_all(old);
    } else {
      fs::rename(folder_, target);
    }
  } catch (const fs::filesystem_error& error) {
    file_system_failure(error);
  }
}

}  // namespace martlet::cli

#pragma once

// The local store of models: one folder a model under the XDG data home, complete or absent. Beside the
// model's files lies `martlet-source.json`, which says where it came from and under which licence.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace martlet::cli {

struct StoredModel {
  std::string name;     ///< "smollm2", "owner/model"
  std::string path;     ///< its folder
  std::string licence;  ///< "" when unknown
  std::string origin;   ///< what `pull` was given
  uint64_t bytes = 0;   ///< of all its files
};

/// Where the program keeps what is a person's ($XDG_DATA_HOME/martlet, else ~/.local/share/martlet).
std::string data_folder();

/// Where it keeps what can be made again ($XDG_CACHE_HOME/martlet, else ~/.cache/martlet).
std::string cache_folder();

/// The folder of the store ($XDG_DATA_HOME/martlet/models, else ~/.local/share/martlet/models).
std::string store_root();

/// Every model of the store, by name.
std::vector<StoredModel> stored_models();

/// The path that a MODEL on the command line means: a directory or a file that exists, else a store name (its
/// folder, or the GGUF file when that is all it holds). Throws kBadInput with the nearest known name.
std::string resolve_model(const std::string& model);

/// Throws kBadInput when there is no such model.
void remove_stored_model(const std::string& name);

/// Throws kUsage unless `name` can be a store name: words of letters, digits, "._-", at most one "/" between.
void check_store_name(std::string_view name);

/// A model on its way into the store. Files gather in a folder of their own, which stays when the work is cut
/// so that a later pull resumes, and becomes the model in one rename.
class IncomingModel {
 public:
  /// Throws kFailed while another process brings a model of this name.
  explicit IncomingModel(std::string name);
  ~IncomingModel();
  IncomingModel(const IncomingModel&) = delete;
  IncomingModel& operator=(const IncomingModel&) = delete;

  /// What an earlier pull from elsewhere left goes; what one from `origin` left stays.
  void begin(std::string_view origin);
  const std::string& folder() const { return folder_; }
  /// Puts the model under its name, in place of an older one.
  void commit(std::string_view origin, std::string_view licence);

 private:
  std::string name_;
  std::string folder_;
  int lock_ = -1;  // of the file system; it goes when the process does
};

}  // namespace martlet::cli

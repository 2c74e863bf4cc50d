#include "train/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "base/fields.h"
#include "base/files.h"
#include "data/token_set.h"
#include "formats/safetensors.h"
#include "nn/tree.h"

namespace martlet::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kModelFile = "model.safetensors";
constexpr std::string_view kOptimizerFile = "optimizer.safetensors";
constexpr std::string_view kStateFile = "state.json";
constexpr int64_t kVersion = 1;

std::string folder_of(const std::string& run) {
  return run + "/checkpoints";
}

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Every parameter, trained or not, tied ones once.
NamedTensors parameters_of(const nn::Model& model) {
  NamedTensors named;
  std::set<const void*> seen;
  nn::walk_parameters(model, [&](const std::string& path, nn::Parameter& parameter) {
    if (seen.insert(parameter.identity()).second) named.emplace_back(path, parameter.tensor().detach());
  });
  return named;
}

Json file_record(const std::string& path) {
  const MappedFile file(path);
  Json record;
  record.set("bytes", static_cast<int64_t>(file.bytes().size()));
  return record.set("hash", data::text_of(data::hash128(file.bytes())));
}

void write_tensors(const std::string& path, const NamedTensors& named) {
  std::vector<formats::OutgoingTensor> outgoing;
  for (const auto& [name, tensor] : named) outgoing.emplace_back(name, tensor);
  formats::write_safetensors(path, outgoing);
}

void check_file(const std::string& path, const Json& record) {
  const Json found = file_record(path);
  if (!(found == record)) bad_input("{}: damaged: its size or hash is not what state.json says", path);
}

/// `named` must be what the file holds: same names, shapes, dtypes.
formats::TensorSource matching_source(const std::string& path, const NamedTensors& named) {
  const formats::TensorSource source = formats::open_safetensors(path);
  for (const auto& [name, tensor] : named) {
    if (!source.has(name))
      bad_input("{}: {} is missing: this is the checkpoint of another model or optimiser", path, name);
    const formats::StoredTensor& stored = source.info(name);
    if (stored.shape != tensor.shape() || stored.dtype != tensor.dtype())
      bad_input("{}: {} is {}{}, expected {}", path, name, stored.type_name(), stored.shape.to_string(),
                tensor.to_string());
  }
  if (source.names().size() != named.size())
    bad_input("{}: {} tensors, expected {}: this is the checkpoint of another model or optimiser", path,
              source.names().size(), named.size());
  return source;
}

/// Into the very tensors that the model and the optimiser work with.
void copy_from(const formats::TensorSource& source, const NamedTensors& named) {
  for (const auto& [name, tensor] : named) {
    Tensor target = tensor;
    target.copy_elements(source.tensor(name));
  }
}

}  // namespace

std::vector<CheckpointInfo> checkpoints_of(const std::string& run) {
  std::vector<CheckpointInfo> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder_of(run), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kPrefix) || !entry->is_directory()) continue;
    const std::string digits = name.substr(kPrefix.size());
    if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
      continue;
    found.push_back({entry->path().string(), std::stoll(digits)});
  }
  std::sort(found.begin(), found.end(),
            [](const CheckpointInfo& a, const CheckpointInfo& b) { return a.step > b.step; });
  return found;
}

void write_checkpoint(const std::string& run, const nn::Model& model, const Trainer& trainer,
                      const Json& extra) {
  const std::string name = fmt::format("{}/{}{:08}", folder_of(run), kPrefix, trainer.steps_done());
  // The same step again, after a rewind: the old one goes first.
  std::error_code ignored;
  fs::remove_all(name, ignored);
  AtomicFolder folder(name);
  const std::string model_file = fmt::format("{}/{}", folder.path(), kModelFile);
  const std::string optimizer_file = fmt::format("{}/{}", folder.path(), kOptimizerFile);
  write_tensors(model_file, parameters_of(model));
  write_tensors(optimizer_file, trainer.optimizer().state());
  Json state;
  state.set("version", kVersion).set("steps", trainer.steps_done());
  state.set("optimizer", trainer.optimizer().name()).set("optimizer_steps", trainer.optimizer().steps_done());
  state.set("position", trainer.batches().position().to_json());
  state.set("model_file", file_record(model_file)).set("optimizer_file", file_record(optimizer_file));
  state.set("extra", extra);
  write_file(fmt::format("{}/{}", folder.path(), kStateFile), state.dump(2) + "\n");
  folder.commit();
}

Json read_checkpoint(const std::string& path, nn::Model& model, Trainer& trainer) {
  const std::string state_file = fmt::format("{}/{}", path, kStateFile);
  const Json state = Json::parse_file(state_file);
  const Fields fields(state, state_file);
  if (const int64_t version = fields.integer("version"); version != kVersion)
    bad_input("{}: version {} is not known; this program reads version {}", state_file, version, kVersion);
  if (fields.text("optimizer") != trainer.optimizer().name())
    bad_input("{}: the run used the optimiser {}, not {}", state_file, fields.text("optimizer"),
              trainer.optimizer().name());
  const std::string model_file = fmt::format("{}/{}", path, kModelFile);
  const std::string optimizer_file = fmt::format("{}/{}", path, kOptimizerFile);
  check_file(model_file, state.at("model_file"));
  check_file(optimizer_file, state.at("optimizer_file"));
  const NamedTensors parameters = parameters_of(model);
  const NamedTensors remembered = trainer.optimizer().state();
  const formats::TensorSource model_source = matching_source(model_file, parameters);
  const formats::TensorSource optimizer_source = matching_source(optimizer_file, remembered);
  trainer.batches().seek(data::BatchPosition::from_json(state.at("position")));
  copy_from(model_source, parameters);
  copy_from(optimizer_source, remembered);
  trainer.optimizer().set_steps_done(fields.integer("optimizer_steps"));
  trainer.set_steps_done(fields.integer("steps"));
  return state.at("extra");
}

std::optional<Json> resume(const std::string& run, nn::Model& model, Trainer& trainer,
                           std::vector<std::string>& passed_over) {
  for (const CheckpointInfo& checkpoint : checkpoints_of(run)) {
    try {
      return read_checkpoint(checkpoint.path, model, trainer);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kBadInput) throw;
      passed_over.emplace_back(error.what());
    }
  }
  return std::nullopt;
}

void prune_checkpoints(const std::string& run, int64_t keep, const std::string& best) {
  const std::vector<CheckpointInfo> all = checkpoints_of(run);
  for (size_t i = static_cast<size_t>(std::max<int64_t>(1, keep)); i < all.size(); ++i) {
    if (all[i].path == best) continue;
    std::error_code ignored;  // what cannot be removed now is tried again next time
    fs::remove_all(all[i].path, ignored);
  }
}

}  // namespace martlet::train

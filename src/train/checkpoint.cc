#include "train/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "base/fields.h"
#include "base/files.h"
#include "base/uncached_writes.h"
#include "data/token_set.h"
#include "formats/safetensors.h"

namespace martlet::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kModelFile = "model.safetensors";
constexpr std::string_view kOptimizerFile = "optimizer.safetensors";
constexpr std::string_view kStateFile = "state.json";
constexpr std::string_view kEmaFile = "ema.safetensors";
constexpr int64_t kVersion = 3;

std::string folder_of(const std::string& run) {
  return run + "/checkpoints";
}

/// Size and hash of the part that names and places the tensors.
Json file_record(const std::string& path) {
  const MappedFile file(path);
  const std::span<const std::byte> bytes = file.bytes();
  uint64_t length = 0;
  if (bytes.size() >= sizeof length) std::memcpy(&length, bytes.data(), sizeof length);
  const uint64_t most = bytes.size() - std::min(bytes.size(), sizeof length);
  Json record;
  record.set("bytes", static_cast<int64_t>(bytes.size()));
  return record.set("header",
                    data::text_of(data::hash128(bytes.first(bytes.size() - most + std::min(length, most)))));
}

/// Of all elements, tensor after tensor.
std::string elements_hash(std::span<const Tensor> tensors) {
  std::string hashes;
  for (const Tensor& tensor : tensors) {
    const Tensor here = tensor.to(Device::kCpu).contiguous();
    hashes +=
        data::text_of(data::hash128(std::span(here.host_bytes(), static_cast<size_t>(here.byte_count()))));
  }
  return data::text_of(data::hash128(hashes));
}

void write_tensors(const std::string& path, const NamedTensors& named) {
  std::vector<formats::OutgoingTensor> outgoing;
  for (const auto& [name, tensor] : named) outgoing.emplace_back(name, tensor);
  formats::write_safetensors(path, outgoing);
}

/// The steps of a checkpoint's folder name; nothing for other names.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string digits = name.substr(kPrefix.size());
  if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoll(digits);
}

std::string hash_of(const Json& state) {
  return data::text_of(data::hash128(state.dump()));
}

/// The state of a checkpoint, undamaged and of a version that is known.
Json state_of(const std::string& path) {
  const std::string file = fmt::format("{}/{}", path, kStateFile);
  Json state = Json::parse_file(file);
  if (!state.is_object()) bad_input("{}: damaged: expected a table, got {}", file, state.kind_name());
  if (const int64_t version = Fields(state, file).integer("version"); version != kVersion)
    bad_input("{}: version {} is not known; this program reads version {}", file, version, kVersion);
  const std::string hash = Fields(state, file).text("hash");
  std::erase_if(state.object(), [](const Json::Member& member) { return member.first == "hash"; });
  if (hash_of(state) != hash) bad_input("{}: damaged: its hash is not that of what it says", file);
  return state;
}

/// Whether the position belongs to the data that the trainer reads.
void check_data(const std::string& path, const Json& state, const Snapshot& now) {
  const Json& then = state.at("data");
  const Json& here = now.state.at("data");
  for (const auto& [key, value] : here.object()) {
    const Json* before = then.find(key);
    // A checkpoint of before this was written down says nothing of it.
    if (before != nullptr && !(*before == value))
      bad_input("{}: the run read other data or in another order: its {} was {} and is {} now", path, key,
                before->dump(), value.dump());
  }
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

/// A file of a checkpoint that is what `state` says of it and holds what `named` does.
formats::TensorSource checked_source(const std::string& path, const Json& record, const NamedTensors& named) {
  const auto damaged = [&](bool holds) {
    if (!holds) bad_input("{}: damaged: its size or hash is not what {} says", path, kStateFile);
  };
  const Json found = file_record(path);
  damaged(found.at("bytes") == record.at("bytes") && found.at("header") == record.at("header"));
  formats::TensorSource source = matching_source(path, named);
  std::vector<Tensor> tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(source.tensor(name));
  damaged(elements_hash(tensors) == record.at("elements").string());
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

std::string checkpoint_path(const std::string& run, int64_t step) {
  return fmt::format("{}/{}{:08}", folder_of(run), kPrefix, step);
}

std::vector<CheckpointInfo> checkpoints_of(const std::string& run) {
  std::vector<CheckpointInfo> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder_of(run), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::optional<int64_t> step = step_of(entry->path().filename().string());
    if (step && entry->is_directory()) found.push_back({entry->path().string(), *step});
  }
  std::sort(found.begin(), found.end(),
            [](const CheckpointInfo& a, const CheckpointInfo& b) { return a.step > b.step; });
  return found;
}

void write_checkpoint(const std::string& run, const Snapshot& snapshot) {
  const std::string name = checkpoint_path(run, snapshot.step);
  // The same step again, after a rewind: the old one goes first.
  std::error_code ignored;
  fs::remove_all(name, ignored);
  // Nobody reads it soon, and training has other use for the processor.
  const UncachedWrites uncached;
  AtomicFolder folder(name);
  Json state = snapshot.state;
  state.set("version", kVersion);
  const auto add = [&](std::string_view file, const char* record, const NamedTensors& named) {
    const std::string path = fmt::format("{}/{}", folder.path(), file);
    write_tensors(path, named);
    std::vector<Tensor> tensors;
    for (const auto& [tensor_name, tensor] : named) tensors.push_back(tensor);
    Json description = file_record(path);
    description.set("elements", elements_hash(tensors));
    state.set(record, description);
  };
  add(kModelFile, "model_file", snapshot.parameters);
  add(kOptimizerFile, "optimizer_file", snapshot.optimizer);
  if (!snapshot.ema.empty()) add(kEmaFile, "ema_file", snapshot.ema);
  const std::string hash = hash_of(state);
  state.set("hash", hash);
  write_file(fmt::format("{}/{}", folder.path(), kStateFile), state.dump(2) + "\n");
  folder.commit();
}

Json read_checkpoint(const std::string& path, nn::Model& model, Trainer& trainer) {
  const Json state = state_of(path);
  const Fields fields(state, path);
  if (fields.text("optimizer") != trainer.optimizer().name())
    bad_input("{}: the run used the optimiser {}, not {}", path, fields.text("optimizer"),
              trainer.optimizer().name());
  const Snapshot now = snapshot_of(model, trainer, {});
  const bool had_ema = state.find("ema_file") != nullptr;
  if (had_ema != !now.ema.empty())
    bad_input("{}: the run kept {}average of the weights, and this one does{}", path, had_ema ? "an " : "no ",
              had_ema ? " not" : "");
  std::vector<std::pair<formats::TensorSource, const NamedTensors*>> copies;
  const auto open = [&](std::string_view file, const char* record, const NamedTensors& named) {
    const std::string name = fmt::format("{}/{}", path, file);
    copies.emplace_back(checked_source(name, state.at(record), named), &named);
  };
  open(kModelFile, "model_file", now.parameters);
  open(kOptimizerFile, "optimizer_file", now.optimizer);
  if (had_ema) open(kEmaFile, "ema_file", now.ema);
  check_data(path, state, now);
  const Json* loss_scale = state.find("loss_scale");
  if ((loss_scale != nullptr) != trainer.loss_scale().is_used())
    bad_input("{}: the run multiplied {}, and this one does{}", path, loss_scale ? "f16" : "no f16",
              loss_scale ? " not" : "");
  if (loss_scale != nullptr) trainer.loss_scale().restore(*loss_scale);
  trainer.spike_detector().restore(state.at("losses"));
  trainer.batches().seek(data::BatchPosition::from_json(state.at("position")));
  for (const auto& [source, named] : copies) copy_from(source, *named);
  trainer.optimizer().set_steps_done(fields.integer("optimizer_steps"));
  trainer.set_steps_done(fields.integer("steps"));
  return state.at("extra");
}

void read_weights(const std::string& path, nn::Model& model) {
  const Json state = state_of(path);
  const auto read = [&](std::string_view file, const char* record, const NamedTensors& named) {
    const std::string name = fmt::format("{}/{}", path, file);
    copy_from(checked_source(name, state.at(record), named), named);
  };
  const NamedTensors all = parameters_of(model);
  read(kModelFile, "model_file", all);
  if (state.find("ema_file") == nullptr) return;
  NamedTensors trained;
  for (const TrainedParameter& each : trained_parameters(model))
    trained.emplace_back(each.path, each.parameter->tensor().detach());
  read(kEmaFile, "ema_file", trained);
}

void tidy_checkpoints(const std::string& run, int64_t step) {
  std::vector<fs::path> useless;
  std::error_code error;
  for (fs::directory_iterator entry(folder_of(run), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const std::optional<int64_t> whole = step_of(name);
    // AtomicFolder's temporary names are a name, a dot and six letters.
    const size_t dot = name.rfind('.');
    const bool unfinished =
        dot != std::string::npos && name.size() - dot == 7 && step_of(name.substr(0, dot));
    if (unfinished || (whole && *whole > step)) useless.push_back(entry->path());
  }
  for (const fs::path& path : useless) fs::remove_all(path, error);
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

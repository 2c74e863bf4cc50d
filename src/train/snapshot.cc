#include "train/snapshot.h"

#include <cstring>
#include <set>

#include "base/thread_pool.h"
#include "nn/tree.h"

namespace martlet::train {
namespace {

/// On all threads: what training waits for.
Tensor quick_copy(const Tensor& from) {
  if (from.device() != Device::kCpu || !from.is_contiguous()) return from.clone();
  constexpr int64_t kGrain = int64_t{1} << 20;  // bytes worth a thread
  const Tensor to = Tensor::empty(from.shape(), from.dtype());
  std::byte* target = to.mutable_host_bytes();
  const std::byte* source = from.host_bytes();
  parallel_for(from.byte_count(), kGrain, [&](int64_t begin, int64_t end) {
    std::memcpy(target + begin, source + begin, static_cast<size_t>(end - begin));
  });
  return to;
}

NamedTensors copies_of(const NamedTensors& named) {
  NamedTensors copies;
  for (const auto& [name, tensor] : named) copies.emplace_back(name, quick_copy(tensor));
  return copies;
}

/// What a position in the data belongs to.
Json description_of(const data::Batches& batches) {
  Json json;
  json.set("sequences_per_epoch", batches.sequences_per_epoch());
  json.set("tokens", data::text_of(batches.content_hash()));
  json.set("seed", static_cast<int64_t>(batches.options().seed));
  json.set("order", batches.options().order == data::Order::kShuffle ? "shuffle" : "sequential");
  return json;
}

}  // namespace

int64_t Snapshot::bytes() const {
  int64_t total = 0;
  for (const NamedTensors* named : {&parameters, &optimizer, &ema})
    for (const auto& [name, tensor] : *named) total += tensor.byte_count();
  return total;
}

NamedTensors parameters_of(const nn::Model& model) {
  NamedTensors named;
  std::set<const void*> seen;
  nn::walk_parameters(model, [&](const std::string& path, nn::Parameter& parameter) {
    if (!parameter.is_frozen() && seen.insert(parameter.identity()).second)
      named.emplace_back(path, parameter.tensor().detach());
  });
  return named;
}

Snapshot snapshot_of(const nn::Model& model, const Trainer& trainer, const Json& extra) {
  Snapshot snapshot;
  snapshot.step = trainer.steps_done();
  snapshot.parameters = parameters_of(model);
  snapshot.optimizer = trainer.optimizer().state();
  if (trainer.ema() != nullptr) snapshot.ema = trainer.ema()->state();
  Json& state = snapshot.state;
  state.set("steps", trainer.steps_done());
  state.set("optimizer", trainer.optimizer().name()).set("optimizer_steps", trainer.optimizer().steps_done());
  state.set("position", trainer.batches().position().to_json());
  state.set("data", description_of(trainer.batches()));
  state.set("losses", trainer.spike_detector().to_json());
  if (trainer.loss_scale().is_used()) state.set("loss_scale", trainer.loss_scale().to_json());
  state.set("extra", extra);
  return snapshot;
}

Snapshot copy_of(const Snapshot& snapshot) {
  const OwnerScope owner(Owner::kOther);
  Snapshot copy;
  copy.step = snapshot.step;
  copy.parameters = copies_of(snapshot.parameters);
  copy.optimizer = copies_of(snapshot.optimizer);
  copy.ema = copies_of(snapshot.ema);
  copy.state = snapshot.state;
  return copy;
}

}  // namespace martlet::train

#include "train/held_out.h"

#include "autograd/record.h"
#include "base/error.h"
#include "train/trainer.h"

namespace martlet::train {
namespace {

/// One pass in an order of its own: the first batches stand for all of the data.
data::BatchOptions one_pass(data::BatchOptions options) {
  options.order = data::Order::kShuffle;
  options.seed = 1;
  options.epochs = 1;
  return options;
}

}  // namespace

HeldOut::HeldOut(std::vector<data::TokenSet> sources, data::BatchOptions options, int64_t most_batches)
    : batches_(std::move(sources), one_pass(options)),
      begin_(batches_.position()),
      most_batches_(most_batches) {}

double HeldOut::loss(nn::Model& model) {
  const autograd::NoGradient no_gradient;
  batches_.seek(begin_);
  double sum = 0;
  int64_t targets = 0;
  for (int64_t i = 0; most_batches_ == 0 || i < most_batches_; ++i) {
    const data::TrainingBatch batch = batches_.next();
    if (batch.empty()) break;
    sum += loss_of(model, batch, static_cast<double>(batch.target_count));
    targets += batch.target_count;
  }
  if (targets == 0) bad_input("the held-out data has nothing to predict");
  return sum / static_cast<double>(targets);
}

}  // namespace martlet::train

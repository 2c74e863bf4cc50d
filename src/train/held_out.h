#pragma once

// The loss on data that training does not see.

#include <vector>

#include "data/batches.h"
#include "nn/roles.h"

namespace martlet::train {

class HeldOut {
 public:
  /// `most_batches` of one pass over the data, 0 for the whole pass, packed as `options` say for training;
  /// the same ones every time, drawn from all of the data. Throws as data::Batches does.
  HeldOut(std::vector<data::TokenSet> sources, data::BatchOptions options, int64_t most_batches);

  /// The mean over all targets, added in double, batch after batch: depends on the model and the data alone.
  double loss(nn::Model& model);

 private:
  data::Batches batches_;
  data::BatchPosition begin_;
  int64_t most_batches_;
};

}  // namespace martlet::train

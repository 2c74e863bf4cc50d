#include "infer/embeddings.h"

#include "infer/generate.h"
#include "ops/concat.h"
#include "ops/reduce.h"

namespace martlet::infer {

Tensor embeddings(nn::Model& model, std::span<const std::vector<int32_t>> sequences, Pooling pooling) {
  if (sequences.empty()) return Tensor::empty({0, model.shape().hidden_size}, DType::kF32);
  nn::Batch batch;
  for (const std::vector<int32_t>& ids : sequences) {
    if (ids.empty()) bad_input("there are no token ids to compute a vector of");
    check_ids(model.shape(), ids);
    batch.add(ids);
  }
  const Tensor hidden = model.hidden(batch);
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < batch.sequence_count(); ++i) {
    const int64_t begin = batch.begin(i);
    rows.push_back(pooling == Pooling::kMean ? ops::mean(hidden.slice(0, begin, batch.end(i)), {0}, true)
                                             : hidden.slice(0, begin, begin + 1));
  }
  return ops::concat(rows, 0);
}

}  // namespace martlet::infer

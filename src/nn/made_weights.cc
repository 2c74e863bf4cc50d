#include "nn/made_weights.h"

namespace martlet::nn {

void make_together(std::span<const MadeWeight> weights,
                   const std::function<void(const MadeWeight& weight, const Tensor& bytes)>& made) {
  const OwnerScope owner(Owner::kWeights);
  int64_t total = 0;
  for (const MadeWeight& weight : weights) total += weight.byte_count;
  const Tensor all = Tensor::empty({total}, DType::kU8);
  int64_t at = 0;
  for (const MadeWeight& weight : weights) {
    const Tensor bytes = all.slice(0, at, at + weight.byte_count);
    at += weight.byte_count;
    weight.make(bytes);
    if (made) made(weight, bytes);
    weight.use(bytes);
  }
}

}  // namespace martlet::nn

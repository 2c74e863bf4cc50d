#include "infer/embed.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/interrupt.h"
#include "infer/generate.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/reduce.h"
#include "ops/unary.h"

namespace martlet::infer {
namespace {

// A shorter row counts as zeros: what torch.nn.functional.normalize takes.
constexpr float kLeastLength = 1e-12f;

/// hidden: [tokens, hidden] of one text; the result: [1, hidden].
Tensor pooled(const Tensor& hidden, Pooling pooling) {
  return pooling == Pooling::kFirst ? hidden.slice(0, 0, 1) : ops::mean(hidden, {0}, true);
}

Tensor normalized(const Tensor& rows) {
  const Tensor length = ops::square_root(ops::sum(ops::square(rows), {1}, true));
  return ops::divide(rows, ops::clamp(length, kLeastLength, std::numeric_limits<float>::max()));
}

}  // namespace

Tensor embed(nn::Model& model, std::span<const std::vector<int32_t>> texts, const EmbedOptions& options,
             Progress& progress) {
  for (const std::vector<int32_t>& text : texts) {
    if (text.empty()) bad_input("a text without tokens has no embedding");
    check_ids(model.shape(), text);
  }
  Tensor result;
  progress.start("Embedding", texts.size(), "texts");
  const auto width = static_cast<size_t>(std::max<int64_t>(options.batch, 1));
  for (size_t first = 0; first < texts.size(); first += width) {
    throw_if_interrupted();
    const size_t count = std::min(width, texts.size() - first);
    nn::Batch batch;
    for (const std::vector<int32_t>& text : texts.subspan(first, count)) batch.add(text);
    const Tensor hidden = ops::cast(model.hidden(batch), DType::kF32);
    if (!result.defined())
      result =
          Tensor::empty({static_cast<int64_t>(texts.size()), hidden.dim(1)}, DType::kF32, hidden.device());
    for (int64_t i = 0; i < batch.sequence_count(); ++i) {
      const auto row = static_cast<int64_t>(first) + i;
      result.slice(0, row, row + 1)
          .copy_elements(pooled(hidden.slice(0, batch.begin(i), batch.end(i)), options.pooling));
    }
    progress.advance(first + count);
  }
  progress.finish();
  if (!result.defined()) return Tensor::empty({0, model.shape().hidden_size}, DType::kF32);
  return options.normalize ? normalized(result) : result;
}

}  // namespace martlet::infer

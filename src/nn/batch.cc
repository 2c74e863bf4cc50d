#include "nn/batch.h"

#include <algorithm>

#include "base/error.h"

namespace martlet::nn {

void Batch::add(std::span<const int32_t> ids, KvCache* cache, int64_t whole_length) {
  const int64_t first = cache == nullptr ? 0 : cache->length();
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  for (size_t i = 0; i < ids.size(); ++i)
    positions_.push_back(static_cast<int32_t>(first + static_cast<int64_t>(i)));
  starts_.push_back(static_cast<int64_t>(ids_.size()));
  caches_.push_back(cache);
  const int64_t length = first + static_cast<int64_t>(ids.size());
  lengths_.resize(ids_.size(), std::max(length, whole_length));
  longest_ = std::max(longest_, length);
  if (!rope_tables_->empty()) rope_tables_ = std::make_shared<RopeTables>();
}

void Batch::add_stepwise(std::span<const int32_t> ids, KvCache* cache) {
  const size_t before = lengths_.size();
  add(ids, cache);
  for (size_t i = before; i < lengths_.size(); ++i) lengths_[i] = positions_[i] + 1;
}

const ops::RopeTable& Batch::rope_table(const ops::RopeScaling& scaling) const {
  for (const auto& [known, table] : *rope_tables_)
    if (known == &scaling) return *table;
  const auto half = scaling.dimensions / 2;
  auto table = std::make_shared<ops::RopeTable>();
  table->cosine = Tensor::empty({token_count(), half}, DType::kF32);
  table->sine = Tensor::empty({token_count(), half}, DType::kF32);
  // Neighbours of one length together: with dynamic scaling the frequencies depend on a sequence's own
  // length.
  for (size_t first = 0, end; first < lengths_.size(); first = end) {
    for (end = first + 1; end < lengths_.size() && lengths_[end] == lengths_[first];) ++end;
    const ops::RopeTable rows = ops::rope_table(std::span(positions_).subspan(first, end - first),
                                                ops::rope_frequencies(scaling, lengths_[first]));
    const auto begin_row = static_cast<int64_t>(first);
    const auto end_row = static_cast<int64_t>(end);
    table->cosine.slice(0, begin_row, end_row).copy_elements(rows.cosine);
    table->sine.slice(0, begin_row, end_row).copy_elements(rows.sine);
  }
  rope_tables_->emplace_back(&scaling, table);
  return *table;
}

Tensor last_rows(const Tensor& rows, const Batch& batch) {
  const int64_t count = batch.sequence_count();
  if (rows.node() != nullptr) failed("rows of last tokens are for running a model, not for training it");
  for (int64_t i = 0; i < count; ++i)
    if (batch.begin(i) == batch.end(i)) failed("sequence {} of a batch of {} has no last token", i, count);
  if (count == batch.token_count()) return rows;
  Shape shape = rows.shape();
  shape[0] = count;
  const Tensor result = Tensor::empty(shape, rows.dtype(), rows.device());
  for (int64_t i = 0; i < count; ++i)
    result.slice(0, i, i + 1).copy_elements(rows.slice(0, batch.end(i) - 1, batch.end(i)));
  return result;
}

}  // namespace martlet::nn

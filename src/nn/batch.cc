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
  lengths_.push_back(std::max(length, whole_length));
  longest_ = std::max(longest_, length);
  if (!rope_tables_->empty()) rope_tables_ = std::make_shared<RopeTables>();
}

const ops::RopeTable& Batch::rope_table(const ops::RopeScaling& scaling) const {
  for (const auto& [known, table] : *rope_tables_)
    if (known == &scaling) return *table;
  const auto half = scaling.dimensions / 2;
  auto table = std::make_shared<ops::RopeTable>();
  table->cosine = Tensor::empty({token_count(), half}, DType::kF32);
  table->sine = Tensor::empty({token_count(), half}, DType::kF32);
  // Each sequence by itself: with dynamic scaling the frequencies depend on its own length, never on its
  // neighbours'.
  for (int64_t sequence = 0; sequence < sequence_count(); ++sequence) {
    const int64_t first = begin(sequence);
    const int64_t count = end(sequence) - first;
    if (count == 0) continue;
    const std::span<const int32_t> positions =
        std::span(positions_).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    const ops::RopeTable rows =
        ops::rope_table(positions, ops::rope_frequencies(scaling, lengths_[static_cast<size_t>(sequence)]));
    table->cosine.slice(0, first, first + count).copy_elements(rows.cosine);
    table->sine.slice(0, first, first + count).copy_elements(rows.sine);
  }
  rope_tables_->emplace_back(&scaling, table);
  return *table;
}

}  // namespace martlet::nn

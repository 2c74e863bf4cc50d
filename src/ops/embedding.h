#pragma once

#include <span>

#include "ops/kernel.h"
#include "ops/weight.h"

namespace martlet::ops {

/// Rows of a table: result [ids, columns] f32 (bf16 when `dtype` says so). Ids outside [0, rows) throw. The
/// gradient of a dense table is added to its rows in the order of the ids.
Tensor embedding(std::span<const int32_t> ids, const Weight& table, DType dtype = DType::kF32);
Cost embedding_cost(int64_t ids, const Weight& table);

}  // namespace martlet::ops

#pragma once

// Which product follows which. A model's products come in the same order for every token: whoever remembers
// it knows what is read next, and workers that wait can call it into their caches (base/read_ahead.h).

#include <array>
#include <cstdint>

#include "base/function_ref.h"
#include "base/read_ahead.h"

namespace martlet::ops::cpu {

/// What one worker begins a product with.
using FirstReads = std::array<MemoryRange, kReadAheadRanges>;

/// Called before a product's loop over the threads. `product`: an address that stands for it; reads_of(i):
/// what the worker of range i + 1 begins with, for i < workers. Remembers that it followed the calling
/// thread's last product; calls next(range, reads) for what workers read of the product that followed this
/// one the last time, if any did. It may be wrong: two products can fall on one entry.
void begin_product(const void* product, int64_t workers, FunctionRef<FirstReads(int64_t)> reads_of,
                   FunctionRef<void(int64_t range, const FirstReads&)> next);

}  // namespace martlet::ops::cpu

#pragma once

// Which product follows which. A model's products come in the same order for every token: whoever remembers
// it knows what is read next, and workers that wait can call it into their caches (base/read_ahead.h).

#include <array>
#include <span>
#include <vector>

#include "base/read_ahead.h"

namespace martlet::ops::cpu {

/// What one worker begins a product with.
using FirstReads = std::array<MemoryRange, kReadAheadRanges>;

/// Called before a product's loop over the threads. `product`: an address that stands for it; reads[i]: what
/// the worker of range i + 1 begins with. Remembers that it followed the calling thread's last product; gives
/// the reads of the product that followed this one the last time, or nothing. It may be wrong: two products
/// can fall on one entry.
std::vector<FirstReads> begin_product(const void* product, std::span<const FirstReads> reads);

}  // namespace martlet::ops::cpu

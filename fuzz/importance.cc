// Any bytes as a file of importance, of either form: refused by an Error, or all its numbers can be used.

#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "compress/stored_importance.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const martlet::MemoryFile file(data, size);
  try {
    const martlet::compress::StoredImportance stored = martlet::compress::read_stored(file.path());
    for (const auto& [name, sums] : stored.tensors)
      for (const auto* numbers : {&sums.squares, &sums.counts})
        for (const float number : *numbers)
          if (!(number >= 0) || !std::isfinite(number)) std::abort();
  } catch (const martlet::Error&) {
  }
  return 0;
}

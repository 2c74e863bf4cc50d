// A line of JSON, the table quantization_config, then the bytes of a safetensors file: refused by an Error,
// or every tensor can be read and every order of columns is a permutation's length.

#include "formats/quantised.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "formats/safetensors.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint8_t* end = std::find(data, data + size, '\n');
  if (end == data + size) return 0;
  const std::string table(data, end);
  const martlet::MemoryFile file(end + 1, size - table.size() - 1);
  try {
    const martlet::Json config = martlet::Json::parse(table, "table");
    const martlet::formats::QuantisedTensors read =
        martlet::formats::read_quantised(martlet::formats::open_safetensors(file.path()), config, "table");
    for (const std::string& name : read.tensors.names()) read.tensors.tensor(name).clone();
    for (const auto& [name, order] : read.orders)
      if (order.dim(0) != read.tensors.info(name).shape[1]) std::abort();
  } catch (const martlet::Error&) {
  }
  return 0;
}

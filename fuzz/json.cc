// Any bytes as JSON: they are refused with an error or read to a value that is written and read again as
// itself.

#include "base/json.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using martlet::Json;
  Json value;
  try {
    value = Json::parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const martlet::Error&) {
    return 0;
  }
  if (Json::parse(value.dump(), "again") != value) std::abort();
  if (Json::parse(value.dump(2), "indented") != value) std::abort();
  return 0;
}

// Any bytes as TOML: they are refused with an error or read to a table that is written and read again as
// itself.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using martlet::Json;
  Json value;
  try {
    value = martlet::parse_toml({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const martlet::Error&) {
    return 0;
  }
  // Writing puts scalars before tables, so the second writing is the one that repeats; text compares where
  // nan is no equal.
  const std::string once = dump_toml(value);
  if (dump_toml(martlet::parse_toml(once, "again")) != once) std::abort();
  return 0;
}

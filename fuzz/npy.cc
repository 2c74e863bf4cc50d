// Any bytes as an npy file: refused by an Error, or read.

#include "formats/npy.h"

#include "base/error.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const martlet::MemoryFile file(data, size);
  try {
    martlet::formats::read_npy(file.path());
  } catch (const martlet::Error&) {
  }
  return 0;
}

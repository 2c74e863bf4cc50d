// Any bytes as a safetensors file: refused by an Error, or every tensor can be read.

#include "formats/safetensors.h"

#include "base/error.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const martlet::MemoryFile file(data, size);
  try {
    const martlet::formats::TensorSource source = martlet::formats::open_safetensors(file.path());
    for (const std::string& name : source.names()) source.tensor(name).clone();
  } catch (const martlet::Error&) {
  }
  return 0;
}

// Any bytes as a GGUF file: refused by an Error, or all metadata and every tensor can be read.

#include "formats/gguf.h"

#include "base/error.h"
#include "memory_file.h"

namespace {

template <typename Action>
void quietly(Action action) {
  try {
    action();
  } catch (const martlet::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const martlet::MemoryFile memory(data, size);
  quietly([&] {
    const martlet::formats::GgufFile file(memory.path());
    const martlet::formats::GgufMetadata& metadata = file.metadata();
    for (const std::string_view key : metadata.keys()) {
      quietly([&] { metadata.texts(key); });
      quietly([&] { metadata.integers(key); });
      quietly([&] { metadata.reals(key); });
      quietly([&] { metadata.boolean(key); });
    }
    for (const std::string& name : file.tensors().names()) file.tensors().tensor(name).clone();
  });
  return 0;
}

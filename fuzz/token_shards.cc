// Any bytes as a token shard. The checksums are mended first, or nothing past them would ever be reached: the
// file is refused by an Error, or every token of every document can be read.

#include <cstring>
#include <string>

#include "base/error.h"
#include "data/token_shard.h"
#include "memory_file.h"

namespace {

// Where the header has its checksums (token_shard.h).
constexpr size_t kChecksum = 56, kHeaderChecksum = 72, kHeader = 88;

void put(std::string& bytes, size_t at, martlet::data::Hash128 hash) {
  std::memcpy(bytes.data() + at, &hash.low, 8);
  std::memcpy(bytes.data() + at + 8, &hash.high, 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace martlet;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size >= kHeader) {
    put(bytes, kChecksum, data::hash128(std::string_view(bytes).substr(kHeader)));
    put(bytes, kHeaderChecksum, data::hash128(std::string_view(bytes).substr(0, kHeaderChecksum)));
  }
  const MemoryFile file(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  try {
    const data::TokenShard shard(file.path());
    int64_t sum = 0;
    for (int64_t document = 0; document < shard.documents(); ++document)
      for (int64_t token = shard.begin(document); token < shard.end(document); ++token)
        sum += shard.id(token) + (shard.learns(token) ? 1 : 0);
    if (sum < 0) std::abort();
  } catch (const Error&) {
  }
  return 0;
}

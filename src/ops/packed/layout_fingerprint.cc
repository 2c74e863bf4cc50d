#include "ops/packed/layout_fingerprint.h"

#include <fmt/format.h>
#include <vector>

#include "base/checksum.h"
#include "ops/packed/interleaved.h"

namespace martlet::ops {
namespace {

// Two groups, the second one short, of a whole chunk and, where blocks are small enough, a short one.
constexpr int64_t kRows = kGroupRows + 1;
constexpr int64_t kWholeChunk = kCodesBlock * kChunkBlocks;

}  // namespace

std::string interleaved_layout_fingerprint() {
  std::string text;
  for (const InterleavedFormat* format : interleaved_formats()) {
    const PackedFormat& source = *format->source;
    const int64_t columns = kWholeChunk + source.block_elements;
    std::vector<std::byte> rows(static_cast<size_t>(kRows * source.row_bytes(columns)));
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::byte>(i * 89 + i / 256);
    std::vector<std::byte> groups(static_cast<size_t>(2 * format->group_bytes(columns)));
    interleave(*format, rows.data(), kRows, columns, groups.data());
    text += fmt::format("{}{}:{:08x}", text.empty() ? "" : " ", source.name, checksum(groups));
  }
  return text;
}

}  // namespace martlet::ops

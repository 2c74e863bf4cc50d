#include "base/mapped_parts.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <vector>

#include "base/files.h"
#include "base/process_memory.h"
#include "base/temporary_folder.h"

namespace martlet {
namespace {

constexpr size_t kBytes = size_t{64} << 20;

TEST(MappedParts, PagesOfFilesAreLetGoAndOthersStay) {
  const TemporaryFolder folder;
  write_file(folder / "f", std::string(kBytes, 'y'));
  const MappedFile file(folder / "f");
  const auto sum = [](std::span<const std::byte> bytes) {
    int64_t total = 0;
    for (size_t i = 0; i < bytes.size(); i += 4096) total += static_cast<int64_t>(bytes[i]);
    return total;
  };
  const int64_t before = sum(file.bytes());
  const int64_t held = process_memory().now;
  forget_mapped(file.bytes());
  EXPECT_LT(process_memory().now, held - static_cast<int64_t>(kBytes) / 2);
  EXPECT_EQ(sum(file.bytes()), before) << "read again";
  forget_mapped_files();
  EXPECT_LT(process_memory().now, held - static_cast<int64_t>(kBytes) / 2);
  EXPECT_EQ(sum(file.bytes()), before);
  std::vector<char> block(kBytes, 'x');
  forget_mapped(std::as_bytes(std::span(block)));
  EXPECT_EQ(std::count(block.begin(), block.end(), 'x'), static_cast<int64_t>(kBytes));
}

}  // namespace
}  // namespace martlet

#include "base/mapped_parts.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
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

TEST(MappedParts, AFileWithoutANameIsLetGoOfAndLiesNowhere) {
  const TemporaryFolder folder;
  write_file(folder / "f", std::string(kBytes, 'y'));
  const MappedFile file(folder / "f");
  std::filesystem::remove(folder / "f");
  EXPECT_FALSE(MappedParts().find(file.bytes()).has_value());
  const auto count = [&] { return std::count(file.bytes().begin(), file.bytes().end(), std::byte{'y'}); };
  EXPECT_EQ(count(), static_cast<int64_t>(kBytes));
  const int64_t held = process_memory().now;
  forget_mapped(file.bytes());
  EXPECT_LT(process_memory().now, held - static_cast<int64_t>(kBytes) / 2);
  EXPECT_EQ(count(), static_cast<int64_t>(kBytes));
}

TEST(MappedParts, OneFileIsLetGoAndAnotherStays) {
  const TemporaryFolder folder;
  const auto touched = [](const MappedFile& file) {
    int64_t total = 0;
    for (size_t i = 0; i < file.bytes().size(); i += 4096) total += static_cast<int64_t>(file.bytes()[i]);
    return total;
  };
  write_file(folder / "one", std::string(kBytes, 'y'));
  write_file(folder / "other", std::string(kBytes, 'z'));
  std::filesystem::create_symlink(folder / "one", folder / "link");
  const MappedFile one(folder / "one"), other(folder / "other");
  const int64_t before = touched(one) + touched(other);
  const int64_t held = process_memory().now;
  forget_mapped_file(folder / "link");
  EXPECT_LT(process_memory().now, held - static_cast<int64_t>(kBytes) / 2);
  EXPECT_GT(process_memory().now, held - static_cast<int64_t>(kBytes) * 3 / 2);
  forget_mapped_file(folder / "no such file");
  EXPECT_EQ(touched(one) + touched(other), before);
}

TEST(MappedParts, AFewBytesTakeTheirWholePagesWithThem) {
  const TemporaryFolder folder;
  write_file(folder / "f", std::string(size_t{1} << 20, 'y'));
  const MappedFile file(folder / "f");
  const MappedParts parts;
  EXPECT_EQ(file.bytes()[5000], std::byte{'y'});
  const auto in_memory = [&]() -> int64_t {
    std::ifstream maps("/proc/self/smaps");
    bool here = false;
    for (std::string line; std::getline(maps, line);) {
      if (line.find(folder / "f") != std::string::npos) here = true;
      if (here && line.starts_with("Rss:")) return std::stoll(line.substr(4));
    }
    return -1;
  };
  const int64_t before = in_memory();
  EXPECT_GT(before, 0);
  parts.forget(file.bytes().subspan(4500, 3));
  EXPECT_LT(in_memory(), before);
  EXPECT_EQ(file.bytes()[4500], std::byte{'y'});
  // What is no file's keeps its values.
  std::vector<char> block(10000, 'x');
  parts.forget(std::as_bytes(std::span(block)));
  EXPECT_EQ(std::count(block.begin(), block.end(), 'x'), 10000);
}

}  // namespace
}  // namespace martlet

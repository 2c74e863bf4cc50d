#include "tensor/spill.h"

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <vector>

#include "base/files.h"
#include "base/mapped_parts.h"
#include "base/process_memory.h"
#include "base/random.h"
#include "base/temporary_folder.h"
#include "tensor/tensor.h"

namespace martlet {
namespace {

constexpr int64_t kBytes = int64_t{4} << 20;

Tensor drawn(uint64_t seed) {
  const Tensor block = Tensor::empty({kBytes}, DType::kU8);
  const Philox random(seed);
  for (int64_t i = 0; i < kBytes; i += 1024)
    block.mutable_data<uint8_t>()[i] = static_cast<uint8_t>(random.bits(static_cast<uint64_t>(i)));
  return block;
}

TEST(Spill, BlocksKeepTheirBytesAndTakeNoMemoryOfTheAllocator) {
  const TemporaryFolder folder;
  const OwnerScope owner(Owner::kWeights);
  const int64_t before = total_memory_use(Device::kCpu).now;
  std::vector<Tensor> blocks;
  {
    const SpillScope spill(folder / "weights");
    for (uint64_t i = 0; i < 8; ++i) blocks.push_back(drawn(i));
  }
  EXPECT_EQ(total_memory_use(Device::kCpu).now, before);
  blocks[3] = Tensor();
  for (uint64_t i = 0; i < 8; ++i) {
    if (i == 3) continue;
    const Philox random(i);
    for (int64_t at = 0; at < kBytes; at += 1024)
      ASSERT_EQ(blocks[i].data<uint8_t>()[at], static_cast<uint8_t>(random.bits(static_cast<uint64_t>(at))));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder / "weights")) << "the file has no name";
}

TEST(Spill, AllButTheNewestAreHandedToTheSystem) {
  const TemporaryFolder folder;
  const OwnerScope owner(Owner::kWeights);
  const SpillScope spill(folder / "weights");
  std::vector<Tensor> blocks;
  const int64_t before = process_memory().now;
  for (uint64_t i = 0; i < 32; ++i) {
    blocks.push_back(Tensor::empty({kBytes}, DType::kU8));
    std::fill_n(blocks.back().mutable_data<uint8_t>(), kBytes, static_cast<uint8_t>(i));
  }
  EXPECT_LT(process_memory().now - before, 4 * kBytes) << "of 32";
  for (uint64_t i = 0; i < 32; ++i) EXPECT_EQ(blocks[i].data<uint8_t>()[kBytes / 2], i);
}

TEST(Spill, WhatWasReadCanBeLetGoAndIsNoPartOfANamedFile) {
  const TemporaryFolder folder;
  const OwnerScope owner(Owner::kWeights);
  const SpillScope spill(folder / "weights");
  constexpr int64_t kLarge = 16 * kBytes;
  const Tensor block = Tensor::empty({kLarge}, DType::kU8);
  std::fill_n(block.mutable_data<uint8_t>(), kLarge, uint8_t{7});
  const std::span bytes(block.host_bytes(), static_cast<size_t>(kLarge));
  const int64_t held = process_memory().now;
  forget_mapped(bytes);
  EXPECT_LT(process_memory().now, held - kLarge / 2);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte{7}), kLarge);
  EXPECT_FALSE(MappedParts().find(bytes).has_value());
}

TEST(Spill, SmallBlocksAndThoseOfOthersStayInMemory) {
  const TemporaryFolder folder;
  const SpillScope spill(folder / "weights");
  const int64_t before = total_memory_use(Device::kCpu).now;
  const Tensor activations = Tensor::empty({kBytes}, DType::kU8);
  EXPECT_EQ(total_memory_use(Device::kCpu).now, before + kBytes);
  const OwnerScope owner(Owner::kWeights);
  const Tensor small = Tensor::empty({4096}, DType::kU8);
  EXPECT_EQ(total_memory_use(Device::kCpu).now, before + kBytes + 4096);
}

TEST(Spill, AFolderThatCannotBeMadeMeansMemory) {
  const TemporaryFolder folder;
  write_file(folder / "weights", "a file where the folder would be");
  const SpillScope spill(folder / "weights");
  const OwnerScope owner(Owner::kWeights);
  const int64_t before = total_memory_use(Device::kCpu).now;
  const Tensor block = drawn(1);
  EXPECT_EQ(total_memory_use(Device::kCpu).now, before + kBytes);
}

}  // namespace
}  // namespace martlet

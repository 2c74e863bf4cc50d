#include "formats/npy.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "formats/testing.h"

namespace martlet::formats {
namespace {

std::string npy(std::string_view header, std::string_view data, uint8_t major = 1) {
  std::string file = "\x93NUMPY" + bytes_of(major) + bytes_of(uint8_t{0});
  file += major == 1 ? bytes_of(static_cast<uint16_t>(header.size()))
                     : bytes_of(static_cast<uint32_t>(header.size()));
  return file + std::string(header) + std::string(data);
}

TEST(Npy, EveryDtypeAndShapeComesBackBitForBit) {
  const TemporaryDirectory directory;
  uint64_t seed = 0;
  for (const DType dtype : kAllDTypes) {
    if (dtype == DType::kBF16) continue;
    for (const Shape& shape :
         {Shape{}, Shape{1}, Shape{0}, Shape{9}, Shape{3, 4}, Shape{0, 4}, Shape{2, 3, 4}}) {
      const Tensor tensor = random_tensor(shape, dtype, ++seed);
      write_npy(directory / "a.npy", tensor);
      expect_same_bits(read_npy(directory / "a.npy"), tensor, tensor.to_string());
      EXPECT_EQ((read_file(directory / "a.npy").size() - static_cast<size_t>(tensor.byte_count())) % 64, 0u);
    }
  }
}

TEST(Npy, ViewsAreWrittenInRowOrderFromAnyDevice) {
  const TemporaryDirectory directory;
  const Tensor base = random_tensor({4, 6}, DType::kF32, 1);
  write_npy(directory / "a.npy", base.transpose(0, 1));
  expect_same_bits(read_npy(directory / "a.npy"), base.transpose(0, 1).clone(), "transposed");
  write_npy(directory / "a.npy", base.to(Device::kReference));
  expect_same_bits(read_npy(directory / "a.npy"), base, "reference");
}

TEST(Npy, VersionsOrdersAndSpellingsOfOtherWriters) {
  const TemporaryDirectory directory;
  const std::string data("\1\0\2\0\3\0\4\0\5\0\6\0", 12);
  const auto read = [&](std::string_view header, uint8_t major = 1) {
    return read_npy(directory.put("a.npy", npy(header, data, major)));
  };
  EXPECT_EQ(read("{'descr':'<f2','fortran_order':False,'shape':(2,3)}", 2).to_string(), "f16[2, 3] on cpu");
  EXPECT_EQ(read("{\"shape\": (6,), \"fortran_order\": False, \"descr\": \"<f2\",  }  \n", 3).dim(0), 6);
  EXPECT_EQ(read("{'descr': '<u1', 'fortran_order': False, 'shape': (12,), }").dtype(), DType::kU8);
  const std::string ints = bytes_of(int32_t{1}) + bytes_of(int32_t{2}) + bytes_of(int32_t{3}) +
                           bytes_of(int32_t{4}) + bytes_of(int32_t{5}) + bytes_of(int32_t{6});
  const Tensor turned = read_npy(
      directory.put("a.npy", npy("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }\n", ints)));
  EXPECT_EQ(turned.shape(), (Shape{2, 3}));
  EXPECT_EQ(turned.to_vector<int32_t>(), (std::vector<int32_t>{1, 3, 5, 2, 4, 6}));
}

TEST(Npy, WhatIsWrongIsSaid) {
  const TemporaryDirectory directory;
  const auto refused = [&](std::string_view header, std::string_view part) {
    const std::string path = directory.put("bad.npy", npy(header, "12345678"));
    expect_bad_input([&] { read_npy(path); }, part);
  };
  refused("{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", "big-endian");
  refused("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", "those supported are <f4");
  refused("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "'|O'");
  refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "expected");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "takes 12 bytes, but 8 follow");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "takes 4 bytes, but 8 follow");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "whole number");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2)}", "','");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': 2}", "'('");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2)}", "more than 8 dimensions");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807,4)}",
          "larger than any file");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (92233720368547758070,)}", "63 bits");
  refused("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "True or False");
  refused("{'descr': '<f4', 'fortran_order': False}", "needs the keys");
  refused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "'descr'");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "'x'");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} + 1", "end of the header");
  refused("__import__('os')", "'{'");
  refused("", "'{'");
  const auto whole = [&](std::string_view content, std::string_view part) {
    const std::string path = directory.put("bad.npy", content);
    expect_bad_input([&] { read_npy(path); }, part);
  };
  whole("", "magic");
  whole("PK\3\4aaaaaaaaaaaa", "no npy file");
  whole(npy("{}", "", 4), "version 4");
  expect_bad_input([&] { read_npy(directory / "nosuch.npy"); }, "nosuch.npy");
  EXPECT_EQ(error_of([&] { write_npy(directory / "b.npy", Tensor::zeros({1}, DType::kBF16)); }).code(),
            ErrorCode::kFailed);
}

TEST(Npy, EveryTruncationAndEveryByteChangedNeverCrash) {
  const TemporaryDirectory directory;
  write_npy(directory / "good.npy", random_tensor({2, 3}, DType::kF32, 1));
  const std::string good = read_file(directory / "good.npy");
  for (size_t length = 0; length < good.size(); ++length) {
    const std::string path = directory.put("bad.npy", good.substr(0, length));
    expect_bad_input([&] { read_npy(path); }, path);
  }
  for (size_t at = 0; at < good.size(); ++at) {
    for (int flip = 1; flip < 256; flip *= 2) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const std::string path = directory.put("bad.npy", bad);
      try {
        read_npy(path);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
      }
    }
  }
}

TEST(Npy, AFullDiskIsExhausted) {
  EXPECT_EQ(error_of([] { write_npy("/dev/full", Tensor::zeros({1 << 16}, DType::kF32)); }).code(),
            ErrorCode::kExhausted);
}

}  // namespace
}  // namespace martlet::formats

// Damaged and lying GGUF files: refused in one sentence, in bounded time and memory, never a crash.

#include <gtest/gtest.h>

#include "formats/gguf.h"
#include "formats/gguf_builder.h"
#include "formats/testing.h"

namespace martlet::formats {
namespace {

std::string small_file() {
  GgufBuilder builder;
  builder.add_text("general.architecture", "llama")
      .add_number("llama.block_count", GgufKind::kU32, 2u)
      .add("tokens", GgufKind::kList, gguf_list(GgufKind::kText, 2, gguf_text("a") + gguf_text("bc")))
      .add("scores", GgufKind::kList, gguf_list(GgufKind::kF32, 2, bytes_of(0.5f) + bytes_of(1.0f)))
      .add("nested", GgufKind::kList, gguf_list(GgufKind::kList, 1, gguf_list(GgufKind::kU8, 2, "ab")))
      .add_tensor("token_embd.weight", {32, 2}, 3, random_bytes(40, 1))
      .add_tensor("norm", {4}, 0, random_bytes(16, 2));
  return builder.build();
}

/// Opening may succeed (the damage may hit elements or texts only), but then all must be readable.
void open_and_read(const std::string& path) {
  try {
    const GgufFile file(path);
    for (const std::string_view key : file.metadata().keys()) static_cast<void>(file.metadata().kind(key));
    for (const std::string& name : file.tensors().names()) file.tensors().tensor(name).clone();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
    EXPECT_TRUE(std::string_view(error.what()).starts_with(path)) << error.what();
    EXPECT_LT(std::string_view(error.what()).size(), 1500u);
  }
}

TEST(GgufDamage, EveryTruncationIsRefused) {
  const TemporaryDirectory directory;
  const std::string good = small_file();
  for (size_t length = 0; length < good.size(); ++length) {
    const std::string path = directory.put("bad.gguf", good.substr(0, length));
    expect_bad_input([&] { open_gguf(path); }, path);
  }
}

TEST(GgufDamage, EveryByteChangedNeverCrashes) {
  const TemporaryDirectory directory;
  const std::string good = small_file();
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {1, 2, 8, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      open_and_read(directory.put("bad.gguf", bad));
    }
  }
}

TEST(GgufDamage, SeveralBytesChangedAtRandomNeverCrash) {
  const TemporaryDirectory directory;
  const std::string good = small_file();
  const Philox random(7);
  uint64_t draw = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    const uint64_t changes = 1 + random.below(draw++, 6);
    for (uint64_t i = 0; i < changes; ++i) {
      const uint64_t at = random.below(draw++, bad.size());
      bad[at] = static_cast<char>(random.below(draw++, 256));
    }
    open_and_read(directory.put("bad.gguf", bad));
  }
}

class GgufLies : public ::testing::Test {
 protected:
  void refused(const std::string& content, std::string_view part) {
    const std::string path = directory.put("bad.gguf", content);
    expect_bad_input([&] { open_gguf(path); }, part);
    expect_bad_input([&] { open_gguf(path); }, path);
  }
  static std::string with(size_t offset, std::string_view bytes) {
    std::string file = small_file();
    return file.replace(offset, bytes.size(), bytes);
  }

  TemporaryDirectory directory;
};

TEST_F(GgufLies, MagicVersionAndCounts) {
  refused("", "magic");
  refused("GGUF", "version");
  refused(with(0, "GGUX"), "'GGUX'");
  refused(with(4, bytes_of(uint32_t{9})), "version 9");
  refused(with(4, bytes_of(uint32_t{1})), "version 1 is obsolete");
  refused(with(4, bytes_of(uint32_t{0})), "version 0");
  refused(with(4, std::string_view("\0\0\0\3", 4)), "big-endian");
  refused(with(8, bytes_of(uint64_t{1} << 60)), "tensors announced");
  refused(with(16, bytes_of(uint64_t{1} << 61)), "metadata pairs announced");
  refused(with(24, bytes_of(uint64_t{1} << 63)), "metadata key");
  refused("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs pointer");
}

TEST_F(GgufLies, Metadata) {
  const auto value = [](GgufKind kind, const std::string& bytes) {
    return GgufBuilder().add("k", kind, bytes).build();
  };
  refused(value(GgufKind{13}, bytes_of(0)), "unknown kind of value 13");
  refused(value(GgufKind::kText, bytes_of(UINT64_MAX)), "'k'");
  refused(value(GgufKind::kList, gguf_list(GgufKind::kText, uint64_t{1} << 61, "")),
          "list elements announced");
  refused(value(GgufKind::kList, gguf_list(GgufKind::kF64, UINT64_MAX / 8 + 2, "")),
          "list elements announced");
  refused(value(GgufKind::kList, gguf_list(GgufKind{99}, 1, "1234567890123")), "unknown kind of value 99");
  std::string deep = gguf_list(GgufKind::kU8, 0, "");
  for (int i = 0; i < 10000; ++i) deep = bytes_of(GgufKind::kList) + bytes_of(uint64_t{1}) + deep;
  refused(value(GgufKind::kList, deep), "nested deeper than 8");
  refused(GgufBuilder().add_text("k", "a").add_text("k", "b").build(), "'k': the key comes twice");
  for (const uint32_t alignment : {0u, 3u, 48u, 0x80000000u})
    refused(GgufBuilder().add_number("general.alignment", GgufKind::kU32, alignment).build(), "power of two");
  refused(GgufBuilder().add_text("general.alignment", "32").build(),
          "'general.alignment' must be an integer");
}

TEST_F(GgufLies, Tensors) {
  const std::string data = random_bytes(64, 1);
  const auto lying = [&](std::vector<uint64_t> sizes, uint32_t type, uint64_t offset) {
    return GgufBuilder()
        .add_tensor("good", {16}, 0, data)
        .add_lying_tensor("bad", std::move(sizes), type, offset)
        .build();
  };
  refused(lying({16}, 0, 0), "'good' and 'bad' overlap");
  refused(lying({16}, 0, 64), "takes 64 bytes from offset 64");
  refused(lying({16}, 0, 1), "no multiple of the alignment 32");
  refused(lying({16}, 0, UINT64_MAX - 31), "cut or damaged");
  refused(lying({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 64), "impossible shape");
  refused(lying({uint64_t{1} << 62}, 0, 64), "larger than any file");
  refused(lying({UINT64_MAX}, 0, 64), "too large");
  refused(lying({31, 2}, 2, 64), "31 columns do not fill");
  refused(lying({1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 64), "9 dimensions");
  refused(lying({}, 2, 64), "do not fill");
  refused(lying({256}, 16, 64), "type 16 (iq2_xxs) is not supported; those supported are f32, f16");
  refused(lying({256}, 28, 64), "(f64)");
  refused(lying({256}, 12345, 64), "12345 (unknown");
  refused(GgufBuilder().add_tensor("a", {16}, 0, data).add_tensor("a", {16}, 0, data).build(),
          "'a' comes twice");
  const std::string long_name(5000, '\xfe');
  refused(GgufBuilder().add_lying_tensor(long_name, {1}, 99, 0).build(), "(5000 bytes)");
}

TEST_F(GgufLies, ALargeFileOfNothingAnswersQuickly) {
  // 64 MB that announce as many pairs and tensors as could just fit, of which the first is broken.
  std::string file =
      "GGUF" + bytes_of(uint32_t{3}) + bytes_of(uint64_t{2'000'000}) + bytes_of(uint64_t{4'000'000});
  file.resize(64 << 20, '\xff');
  refused(file, "metadata key");
}

}  // namespace
}  // namespace martlet::formats

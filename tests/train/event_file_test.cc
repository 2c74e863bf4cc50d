// The frames and messages are taken apart by a reader of its own; tests/oracle has TensorBoard read them.

#include "train/event_file.h"

#include <bit>
#include <cstring>
#include <gmock/gmock.h>
#include <map>

#include "base/crc32c.h"
#include "base/expect_error.h"
#include "base/files.h"
#include "base/temporary_folder.h"

namespace martlet::train {
namespace {

/// A CRC by its definition: division of polynomials, a bit at a time.
uint32_t plain_crc32c(std::string_view bytes) {
  uint32_t value = 0xFFFFFFFF;
  for (const char byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const uint32_t in = (static_cast<uint8_t>(byte) >> bit) & 1;
      value = (value >> 1) ^ (((value ^ in) & 1) != 0 ? 0x82F63B78 : 0);
    }
  return ~value;
}

TEST(Crc32c, IsThatOfTheStandard) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  std::string counting;
  for (int i = 0; i < 32; ++i) counting += static_cast<char>(i);
  EXPECT_EQ(crc32c(counting), 0x46DD794Eu);
  EXPECT_EQ(crc32c("a sentence of any length"), plain_crc32c("a sentence of any length"));
}

uint32_t unmasked(uint32_t masked) {
  return std::rotl(masked - 0xA282EAD8u, 15);
}

template <typename Integer>
Integer little(std::string_view bytes, size_t at) {
  Integer value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// Messages of the frames, whose checksums are checked.
std::vector<std::string> messages_of(const std::string& path) {
  const std::string bytes = read_file(path);
  std::vector<std::string> messages;
  size_t at = 0;
  while (at < bytes.size()) {
    const auto length = little<uint64_t>(bytes, at);
    EXPECT_EQ(unmasked(little<uint32_t>(bytes, at + 8)), plain_crc32c(bytes.substr(at, 8)));
    messages.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(messages.back().size(), length);
    EXPECT_EQ(unmasked(little<uint32_t>(bytes, at + 12 + length)), plain_crc32c(messages.back()));
    at += length + 16;
  }
  EXPECT_EQ(at, bytes.size());
  return messages;
}

struct Field {
  uint64_t number = 0;
  uint64_t value = 0;
  std::string bytes;
};

std::vector<Field> fields_of(const std::string& message) {
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(message.at(at++));
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
  };
  std::vector<Field> fields;
  while (at < message.size()) {
    const uint64_t key = varint();
    Field field{key >> 3, 0, ""};
    const uint64_t type = key & 7;
    if (type == 0) field.value = varint();
    if (type == 1) field.value = little<uint64_t>(message, std::exchange(at, at + 8));
    if (type == 5) field.value = little<uint32_t>(message, std::exchange(at, at + 4));
    if (type == 2) {
      const uint64_t length = varint();
      field.bytes = message.substr(std::exchange(at, at + length), length);
    }
    fields.push_back(field);
  }
  return fields;
}

std::map<std::string, float> scalars_of(const std::string& summary) {
  std::map<std::string, float> scalars;
  for (const Field& value : fields_of(summary)) {
    const std::vector<Field> parts = fields_of(value.bytes);
    scalars[parts.at(0).bytes] = std::bit_cast<float>(static_cast<uint32_t>(parts.at(1).value));
  }
  return scalars;
}

TEST(EventFile, HoldsAVersionThenAnEventAStep) {
  const TemporaryFolder folder;
  std::string path;
  {
    EventFile file(folder / "events", std::nullopt);
    path = file.path();
    for (int64_t step = 0; step < 300; ++step) {
      StepRow row;
      row.step = step;
      row.loss = 2.5 - 0.001 * static_cast<double>(step);
      row.learning_rate = 3e-4;
      row.tokens_per_second = 1234;
      row.memory_bytes = int64_t{1} << 32;
      if (step == 299) row.eval_loss = 2.25;
      file.write(row);
    }
  }
  EXPECT_THAT(path, testing::HasSubstr("/events.out.tfevents."));
  const std::vector<std::string> messages = messages_of(path);
  ASSERT_EQ(messages.size(), 301u);
  EXPECT_EQ(fields_of(messages[0]).at(1).number, 3u);
  EXPECT_EQ(fields_of(messages[0]).at(1).bytes, "brain.Event:2");
  for (size_t step = 0; step < 300; ++step) {
    const std::vector<Field> event = fields_of(messages[step + 1]);
    EXPECT_GT(std::bit_cast<double>(event.at(0).value), 1.7e9);
    EXPECT_EQ(event.at(1).value, step);
    std::map<std::string, float> scalars = scalars_of(event.at(2).bytes);
    EXPECT_EQ(scalars["train/loss"], static_cast<float>(2.5 - 0.001 * static_cast<double>(step)));
    EXPECT_EQ(scalars["memory/bytes"], 4294967296.0f);
    EXPECT_EQ(scalars.contains("eval/loss"), step == 299);
  }
}

TEST(EventFile, AResumedRunSaysFromWhereAndHasAFileOfItsOwn) {
  const TemporaryFolder folder;
  const EventFile first(folder.path(), std::nullopt);
  const EventFile second(folder.path(), 40);
  EXPECT_NE(first.path(), second.path());
  const std::vector<Field> start = fields_of(messages_of(second.path()).at(1));
  EXPECT_EQ(start.at(1).value, 40u);
  EXPECT_EQ(start.at(2).number, 7u);
  EXPECT_EQ(fields_of(start.at(2).bytes).at(0).value, 1u);
}

TEST(EventFile, AFolderThatCannotBeIsTold) {
  const TemporaryFolder folder;
  write_file(folder / "file", "");
  EXPECT_THROW(EventFile(folder / "file", std::nullopt), std::exception);
}

}  // namespace
}  // namespace martlet::train

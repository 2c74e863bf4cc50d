// The form, from TensorFlow's public files tfrecord (core/lib/io/record_writer.h) and event.proto,
// summary.proto: a frame is the length in 8 bytes, the masked CRC-32C of these, the message, its masked
// CRC-32C; all little-endian. Event:   1 wall_time double, 2 step int64, 3 file_version string, 5 summary, 7
// session_log Summary: 1 value, repeated. Value: 1 tag string, 2 simple_value float. SessionLog: 1 status (1:
// start) A protobuf field is its number and wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four
// bytes) and its value.

#include "train/event_file.h"

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/error.h"
#include "base/files.h"

namespace martlet::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSecondsBetweenWrites = 2;

template <typename Integer>
void append_little(std::string& out, Integer value) {
  for (size_t byte = 0; byte < sizeof(Integer); ++byte)
    out += static_cast<char>((value >> (8 * byte)) & 0xFF);
}

void append_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>((value & 0x7F) | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void append_key(std::string& out, uint64_t field, uint64_t wire_type) {
  append_varint(out, field << 3 | wire_type);
}

void append_varint_field(std::string& out, uint64_t field, int64_t value) {
  append_key(out, field, 0);
  append_varint(out, static_cast<uint64_t>(value));
}

void append_bytes_field(std::string& out, uint64_t field, std::string_view bytes) {
  append_key(out, field, 2);
  append_varint(out, bytes.size());
  out += bytes;
}

void append_value(std::string& summary, std::string_view tag, double number) {
  std::string value;
  append_bytes_field(value, 1, tag);
  append_key(value, 2, 5);
  append_little(value, std::bit_cast<uint32_t>(static_cast<float>(number)));
  append_bytes_field(summary, 1, value);
}

/// An event of now.
std::string event_at(std::optional<int64_t> step) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string event;
  append_key(event, 1, 1);
  append_little(event, std::bit_cast<uint64_t>(now));
  if (step) append_varint_field(event, 2, *step);
  return event;
}

/// CRCs of data that hold CRCs are weak, so the form stores them turned and moved.
uint32_t masked_crc(std::string_view bytes) {
  constexpr uint32_t kMaskDelta = 0xA282EAD8;
  return std::rotr(crc32c(bytes), 15) + kMaskDelta;
}

/// The name that TensorBoard looks for; the last number keeps files of one second apart.
int open_new(const std::string& folder, std::string& path) {
  char host[256] = "unknown";
  gethostname(host, sizeof host - 1);
  const int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  for (int place = 0;; ++place) {
    path = fmt::format("{}/events.out.tfevents.{:010}.{}.{}.{}", folder, now, host, getpid(), place);
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor >= 0) return descriptor;
    if (errno != EEXIST) bad_input("{}: cannot be written: {}", path, std::strerror(errno));
  }
}

}  // namespace

EventFile::EventFile(const std::string& folder, std::optional<int64_t> resumed_from)
    : flushed_(Clock::now()) {
  make_directories(folder);
  descriptor_ = open_new(folder, path_);
  std::string first = event_at(std::nullopt);
  append_bytes_field(first, 3, "brain.Event:2");
  add(first);
  if (resumed_from) {
    std::string start = event_at(*resumed_from), session;
    append_varint_field(session, 1, 1);
    append_bytes_field(start, 7, session);
    add(start);
  }
  flush();
}

EventFile::~EventFile() {
  try {
    flush();
  } catch (const Error&) {
    // The last seconds are lost; there is nobody left to tell.
  }
  ::close(descriptor_);
}

void EventFile::write(const StepRow& row) {
  std::string summary;
  append_value(summary, "train/loss", row.loss);
  append_value(summary, "train/learning_rate", row.learning_rate);
  append_value(summary, "train/grad_norm", row.gradient_norm);
  append_value(summary, "speed/tokens_per_s", row.tokens_per_second);
  append_value(summary, "memory/bytes", static_cast<double>(row.memory_bytes));
  if (row.eval_loss) append_value(summary, "eval/loss", *row.eval_loss);
  std::string event = event_at(row.step);
  append_bytes_field(event, 5, summary);
  add(event);
  if (std::chrono::duration<double>(Clock::now() - flushed_).count() >= kSecondsBetweenWrites) flush();
}

void EventFile::add(const std::string& event) {
  std::string length;
  append_little(length, uint64_t{event.size()});
  pending_ += length;
  append_little(pending_, masked_crc(length));
  pending_ += event;
  append_little(pending_, masked_crc(event));
}

void EventFile::flush() {
  flushed_ = Clock::now();
  size_t done = 0;
  while (done < pending_.size()) {
    const ssize_t wrote = ::write(descriptor_, pending_.data() + done, pending_.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      const std::string reason = std::strerror(errno);
      pending_.clear();
      fail(ErrorCode::kExhausted, "{}: cannot be written ({}); is the disk full?", path_, reason);
    }
    done += static_cast<size_t>(wrote);
  }
  pending_.clear();
}

}  // namespace martlet::train

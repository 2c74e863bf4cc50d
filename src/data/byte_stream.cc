#include "data/byte_stream.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <vector>
#include <zlib.h>
#include <zstd.h>

#include "base/error.h"

namespace martlet::data {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 17;

class PlainStream : public ByteStream {
 public:
  explicit PlainStream(const std::string& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) bad_input("{}: cannot be opened: {}", path, std::generic_category().message(errno));
    struct stat status {};
    if (::fstat(descriptor_, &status) == 0 && S_ISDIR(status.st_mode)) {
      ::close(descriptor_);
      bad_input("{}: this is a folder, a file was expected", path);
    }
  }
  ~PlainStream() override { ::close(descriptor_); }
  PlainStream(const PlainStream&) = delete;
  PlainStream& operator=(const PlainStream&) = delete;

  size_t read(std::span<char> into) override {
    if (!peeked_.empty()) return take_peeked(into);
    while (true) {
      const ssize_t got = ::read(descriptor_, into.data(), into.size());
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) bad_input("{}: cannot be read: {}", path_, std::generic_category().message(errno));
    }
  }

  /// The first bytes, which `read` gives again.
  std::string_view peek(size_t count) {
    std::string start(count, '\0');
    size_t got = 0;
    while (got < count) {
      const size_t more = read(std::span(start).subspan(got));
      if (more == 0) break;
      got += more;
    }
    start.resize(got);
    peeked_ = std::move(start);
    return peeked_;
  }

 private:
  size_t take_peeked(std::span<char> into) {
    const size_t count = std::min(into.size(), peeked_.size());
    peeked_.copy(into.data(), count);
    peeked_.erase(0, count);
    return count;
  }

  std::string path_;
  std::string peeked_;
  int descriptor_ = -1;
};

/// Members of gzip one after another, as gzip itself takes them.
class GzipStream : public ByteStream {
 public:
  GzipStream(std::unique_ptr<ByteStream> packed, std::string path)
      : packed_(std::move(packed)), path_(std::move(path)), input_(kPieceBytes) {
    constexpr int kGzipOnly = 15 + 16;  // the largest window, and a gzip header
    if (inflateInit2(&state_, kGzipOnly) != Z_OK)
      fail(ErrorCode::kExhausted, "{}: no memory to unpack it", path_);
  }
  ~GzipStream() override { inflateEnd(&state_); }
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  size_t read(std::span<char> into) override {
    state_.next_out = reinterpret_cast<Bytef*>(into.data());
    state_.avail_out = static_cast<uInt>(std::min(into.size(), kPieceBytes));
    const uInt room = state_.avail_out;
    while (state_.avail_out == room) {
      if (state_.avail_in == 0 && !refill()) {
        if (within_member_) bad_input("{}: the gzip data is cut short", path_);
        return 0;
      }
      within_member_ = true;
      const int result = inflate(&state_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        within_member_ = false;
        inflateReset(&state_);
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        bad_input("{}: the gzip data is damaged", path_);
      }
    }
    return room - state_.avail_out;
  }

 private:
  bool refill() {
    const size_t got = packed_->read(input_);
    state_.next_in = reinterpret_cast<Bytef*>(input_.data());
    state_.avail_in = static_cast<uInt>(got);
    return got > 0;
  }

  std::unique_ptr<ByteStream> packed_;
  std::string path_;
  std::vector<char> input_;
  z_stream state_{};
  bool within_member_ = false;
};

class ZstdStream : public ByteStream {
 public:
  ZstdStream(std::unique_ptr<ByteStream> packed, std::string path)
      : packed_(std::move(packed)),
        path_(std::move(path)),
        input_(kPieceBytes),
        state_(ZSTD_createDStream()) {
    if (!state_) fail(ErrorCode::kExhausted, "{}: no memory to unpack it", path_);
  }

  size_t read(std::span<char> into) override {
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    while (out.pos == 0) {
      // A full output may have left more in the decoder, which comes without new input.
      if (in_.pos == in_.size && !pending_ && !refill()) {
        if (within_frame_) bad_input("{}: the zstd data is cut short", path_);
        return 0;
      }
      const size_t result = ZSTD_decompressStream(state_.get(), &out, &in_);
      if (ZSTD_isError(result))
        bad_input("{}: the zstd data is damaged: {}", path_, ZSTD_getErrorName(result));
      within_frame_ = result != 0;
      pending_ = within_frame_ && out.pos == out.size;
    }
    return out.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* state) const { ZSTD_freeDStream(state); }
  };

  bool refill() {
    const size_t got = packed_->read(input_);
    in_ = {input_.data(), got, 0};
    return got > 0;
  }

  std::unique_ptr<ByteStream> packed_;
  std::string path_;
  std::vector<char> input_;
  std::unique_ptr<ZSTD_DStream, Free> state_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool within_frame_ = false;
  bool pending_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> open_byte_stream(const std::string& path) {
  auto plain = std::make_unique<PlainStream>(path);
  const std::string start(plain->peek(4));
  if (start.starts_with("\x1F\x8B")) return std::make_unique<GzipStream>(std::move(plain), path);
  if (start == "\x28\xB5\x2F\xFD") return std::make_unique<ZstdStream>(std::move(plain), path);
  return plain;
}

LineReader::LineReader(std::unique_ptr<ByteStream> stream, std::string name, size_t limit)
    : stream_(std::move(stream)), name_(std::move(name)), limit_(limit) {}

bool LineReader::refill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const size_t used = buffer_.size();
  if (used > limit_)
    bad_input("{}:{}: a line is longer than {} bytes; cut its document into several", name_, number_ + 1,
              limit_);
  // Growing by half keeps the copies of a long line few.
  buffer_.resize(used + std::max(kPieceBytes, used / 2));
  const size_t got = stream_->read(std::span(buffer_).subspan(used));
  buffer_.resize(used + got);
  return got > 0;
}

bool LineReader::next(std::string& line) {
  size_t searched = begin_;
  while (true) {
    const size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      line.assign(buffer_, begin_, end - begin_);
      begin_ = end + 1;
      break;
    }
    const size_t pending = buffer_.size() - begin_;
    if (!refill()) {
      if (pending == 0) return false;
      line.assign(buffer_, begin_);
      begin_ = buffer_.size();
      break;
    }
    searched = begin_ + pending;
  }
  ++number_;
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

}  // namespace martlet::data

#pragma once

// Bytes of a file of any size, a piece at a time, unpacked where they are packed; and lines of such a stream.

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace martlet::data {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Fills `into` as far as it can; 0 means the end. Throws BadInput for what cannot be read or unpacked.
  virtual size_t read(std::span<char> into) = 0;
};

/// Opens a file; gzip and zstd are known by their first bytes, whatever the name. "-" is no special name.
std::unique_ptr<ByteStream> open_byte_stream(const std::string& path);

/// Lines without their ends ("\n" or "\r\n"), the last one with or without an end.
class LineReader {
 public:
  /// `name` stands before errors. A longer line than `limit` bytes is an error.
  LineReader(std::unique_ptr<ByteStream> stream, std::string name, size_t limit = size_t{256} << 20);

  /// False at the end.
  bool next(std::string& line);
  /// The number of the line that `next` gave last, from 1.
  int64_t number() const { return number_; }

 private:
  bool refill();

  std::unique_ptr<ByteStream> stream_;
  std::string name_;
  size_t limit_;
  std::string buffer_;
  size_t begin_ = 0;
  int64_t number_ = 0;
};

}  // namespace martlet::data

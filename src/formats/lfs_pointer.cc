#include "formats/lfs_pointer.h"

#include "base/error.h"
#include "formats/byte_reader.h"

namespace martlet::formats {

void refuse_lfs_pointer(std::span<const std::byte> bytes) {
  constexpr std::string_view kFirstLine = "version https://git-lfs.github.com/spec/";
  if (as_text(bytes).starts_with(kFirstLine))
    bad_input(
        "this is a git-lfs pointer of {} bytes, not the file itself; fetch the real one with 'git lfs pull'",
        bytes.size());
}

}  // namespace martlet::formats

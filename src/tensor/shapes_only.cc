#include "tensor/shapes_only.h"

#include "base/error.h"

namespace martlet {
namespace {

thread_local bool shapes_only = false;
thread_local int64_t written = 0;

}  // namespace

ShapesOnly::ShapesOnly() {
  if (shapes_only) failed("a scope of shapes alone stands within another");
  shapes_only = true;
  written = 0;
}

ShapesOnly::~ShapesOnly() {
  shapes_only = false;
}

bool ShapesOnly::active() {
  return shapes_only;
}

int64_t ShapesOnly::bytes_written() const {
  return written;
}

bool skips(int64_t bytes) {
  if (shapes_only) written += bytes;
  return shapes_only;
}

}  // namespace martlet

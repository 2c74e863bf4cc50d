#pragma once

#include <string>

namespace martlet::cli {

enum class InputState {
  kMore,         ///< something may have come
  kInterrupted,  ///< a person pressed Ctrl-C; the request is not cleared
  kEnd
};

/// Appends what standard input has to `bytes`; waits while it has nothing, at most so long (-1: for ever). No
/// interruption is passed over, whenever it comes. Throws BadInput where it cannot be read.
InputState read_some_input(std::string& bytes, int timeout_milliseconds = -1);

}  // namespace martlet::cli

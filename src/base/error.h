#pragma once

// One error type for the whole system. The library throws it and never prints or exits; `cli` prints `what()`
// as one sentence and exits with the code.

#include <exception>
#include <fmt/core.h>
#include <string>
#include <string_view>
#include <utility>

namespace martlet {

/// What kind of failure it is. The values are the program's exit codes.
enum class ErrorCode {
  kFailed = 1,        ///< the work failed or a check did not hold
  kUsage = 2,         ///< the program was called wrongly
  kBadInput = 3,      ///< a file, a model or a text cannot be used
  kExhausted = 4,     ///< out of memory, disk or time
  kInterrupted = 130  ///< a person stopped it
};

/// A failure as one sentence: what was asked, expected against got, where, how to mend.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

  /// Puts `context` (a file, a path in the tree) before the message: "model.safetensors: header is cut".
  Error& within(std::string_view context) {
    message_ = fmt::format("{}: {}", context, message_);
    return *this;
  }

 private:
  ErrorCode code_;
  std::string message_;
};

template <typename... Arguments>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Error(code, fmt::format(format, std::forward<Arguments>(arguments)...));
}

/// Throws when a file, a model or a text from outside cannot be used.
template <typename... Arguments>
[[noreturn]] void bad_input(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Error(ErrorCode::kBadInput, fmt::format(format, std::forward<Arguments>(arguments)...));
}

/// Throws when the caller of an operation broke its contract (shapes, types, ranges).
template <typename... Arguments>
[[noreturn]] void failed(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Error(ErrorCode::kFailed, fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace martlet

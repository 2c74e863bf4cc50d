#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "base/error.h"

namespace martlet {

/// Runs `action`, which must throw an Error of `code`; returns its sentence.
template <typename Action>
std::string error_of(ErrorCode code, Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

template <typename Action>
std::string bad_input_of(Action action) {
  return error_of(ErrorCode::kBadInput, action);
}

}  // namespace martlet

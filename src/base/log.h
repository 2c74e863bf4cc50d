#pragma once

// Diagnostics for people who look for a fault. Silent unless a level is chosen; written to stderr by spdlog.

#include <fmt/core.h>
#include <string_view>
#include <utility>

namespace martlet::log {

enum class Level { kDebug, kInfo, kWarning, kOff };

void set_level(Level level);
void write(Level level, std::string_view message);

template <typename... Arguments>
void debug(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write(Level::kDebug, fmt::format(format, std::forward<Arguments>(arguments)...));
}
template <typename... Arguments>
void info(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write(Level::kInfo, fmt::format(format, std::forward<Arguments>(arguments)...));
}
template <typename... Arguments>
void warning(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write(Level::kWarning, fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace martlet::log

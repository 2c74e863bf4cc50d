#pragma once

#include <cstdint>
#include <string_view>

namespace martlet {

/// Where a tensor's bytes live. `kReference` is the oracle: plain kernels over memory the host does not touch
/// directly.
enum class Device : uint8_t { kCpu, kReference };

constexpr std::string_view name_of(Device device) {
  return device == Device::kCpu ? "cpu" : "reference";
}

}  // namespace martlet

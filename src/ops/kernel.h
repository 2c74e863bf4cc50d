#pragma once

// What every operation shares: its cost, and the choice among its kernels.
//
// An operation is a free function in a file of its own. It checks shapes and dtypes once, gathers its
// arguments in a `Problem` struct and runs the first kernel of its ordered list that can serve: best first,
// the reference last. The list is a plain array beside the operation; each candidate says yes or why not, and
// the one chosen has a name.

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "ops/cost.h"
#include "ops/dry_run.h"
#include "tensor/device.h"

namespace martlet::ops {

template <typename Problem>
struct Kernel {
  std::string_view name;  ///< "avx512 bf16", "reference"
  Device device;
  /// Empty when it can serve; else the reason, such as "no AVX-512". Null: always serves.
  std::string_view (*why_not)(const Problem&);
  void (*run)(const Problem&);
};

/// The first kernel for `device` that can serve; throws naming the operation and every refusal when there is
/// none. In a dry run (ops/dry_run.h) one that does nothing; the cost of the call is counted then, which
/// `cost_of(problem)` states beside the struct of the problem.
template <typename Problem>
const Kernel<Problem>& choose(std::string_view operation, std::span<const Kernel<Problem>> kernels,
                              Device device, const Problem& problem) {
  if (DryRun* dry_run = DryRun::current()) {
    static constexpr Kernel<Problem> kNothing{"nothing", Device::kCpu, nullptr, [](const Problem&) {}};
    if constexpr (requires { cost_of(problem); })
      dry_run->add(operation, cost_of(problem));
    else
      dry_run->add_unknown(operation);
    return kNothing;
  }
  std::string refusals;
  for (const Kernel<Problem>& kernel : kernels) {
    if (kernel.device != device) continue;
    const std::string_view reason = kernel.why_not == nullptr ? std::string_view() : kernel.why_not(problem);
    if (reason.empty()) return kernel;
    refusals += fmt::format("; {}: {}", kernel.name, reason);
  }
  failed("{} has no kernel for {}{}", operation, name_of(device), refusals);
}

}  // namespace martlet::ops

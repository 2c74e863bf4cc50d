#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace martlet {

/// The processor as the system names it; "unknown" where it does not.
std::string processor_name();

/// Memory of the machine in bytes.
int64_t machine_memory();

/// What a record of work done here says of the machine: processor, cpus (granted to this process),
/// memory_bytes, system.
Json machine_facts();

}  // namespace martlet

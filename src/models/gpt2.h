#pragma once

#include "models/family.h"

namespace martlet::models {

extern const Family kGpt2;

}  // namespace martlet::models

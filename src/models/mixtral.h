#pragma once

#include "models/family.h"

namespace martlet::models {

extern const Family kMixtral;

}  // namespace martlet::models

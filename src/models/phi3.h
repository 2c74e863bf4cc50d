#pragma once

#include "models/family.h"

namespace martlet::models {

extern const Family kPhi3;

}  // namespace martlet::models

#pragma once

#include "models/family.h"

namespace martlet::models {

extern const Family kBert;

}  // namespace martlet::models

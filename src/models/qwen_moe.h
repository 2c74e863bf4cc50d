#pragma once

#include "models/family.h"

namespace martlet::models {

extern const Family kQwen2Moe;
extern const Family kQwen3Moe;

}  // namespace martlet::models

#pragma once

#include "models/family.h"

namespace martlet::models {

extern const Family kGemma;
extern const Family kGemma2;

}  // namespace martlet::models

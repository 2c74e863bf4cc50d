#pragma once

#include "models/family.h"

namespace martlet::models {

extern const Family kCpmAnt;
extern const Family kCpmBee;

}  // namespace martlet::models

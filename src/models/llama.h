#pragma once

#include "models/family.h"

namespace martlet::models {

extern const Family kLlama;
extern const Family kMistral;
extern const Family kQwen2;
extern const Family kQwen3;
extern const Family kSmolLm3;
extern const Family kMiniCpm;

}  // namespace martlet::models

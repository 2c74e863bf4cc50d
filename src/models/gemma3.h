#pragma once

#include "models/family.h"

namespace martlet::models {

extern const Family kGemma3;      ///< with a vision tower beside it, which is left alone
extern const Family kGemma3Text;  ///< the text model alone

}  // namespace martlet::models

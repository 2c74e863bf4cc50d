#pragma once

#include "nn/rewrite.h"

namespace martlet::plan {

/// Every rewrite, in the order of the documentation.
nn::RewriteCatalogue rewrites();

}  // namespace martlet::plan

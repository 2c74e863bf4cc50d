#include "nn/module.h"

namespace martlet::nn {

void Slot::refuse(const Module& module) const {
  failed("{} holds a {}, and a {} is {}", name_, role().empty() ? "module of its own kind" : role(),
         module.kind(), module.role().empty() ? std::string("none") : fmt::format("a {}", module.role()));
}

}  // namespace martlet::nn

#include "ops/cpu/floats_portable.h"
// The rotation is written over the lanes above.
#include "ops/cpu/rope_templates.h"

namespace martlet::ops::cpu {

void rope_heads_portable(const RopeHeads& call) {
  rotate_heads(call);
}

}  // namespace martlet::ops::cpu

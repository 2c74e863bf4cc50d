#pragma once

// Every packed format, one line each; each is defined in the file of its family.

#include "ops/packed_format.h"

namespace martlet::ops::packed {

extern const PackedFormat kQ4_0;
extern const PackedFormat kQ4_1;
extern const PackedFormat kQ5_0;
extern const PackedFormat kQ5_1;
extern const PackedFormat kQ8_0;
extern const PackedFormat kQ2K;
extern const PackedFormat kQ3K;
extern const PackedFormat kQ4K;
extern const PackedFormat kQ5K;
extern const PackedFormat kQ6K;
extern const PackedFormat kIq4Nl;
extern const PackedFormat kIq4Xs;
extern const PackedFormat kInt4Zero;
extern const PackedFormat kInt8Zero;
extern const PackedFormat kInt8;

}  // namespace martlet::ops::packed

#pragma once

namespace martlet::ops::packed {

/// What the sixteen nibbles of iq4_nl and iq4_xs stand for: part of the formats' definition.
inline constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace martlet::ops::packed

#pragma once

// How blocks of each format that is written are packed: see PackedFormat::pack.

#include <cstddef>
#include <cstdint>

namespace martlet::ops::packed {

void pack_q4_0(const float* x, const float* importance, int64_t blocks, std::byte* out);
void pack_q4_1(const float* x, const float* importance, int64_t blocks, std::byte* out);
void pack_q5_0(const float* x, const float* importance, int64_t blocks, std::byte* out);
void pack_q5_1(const float* x, const float* importance, int64_t blocks, std::byte* out);
void pack_q8_0(const float* x, const float* importance, int64_t blocks, std::byte* out);
void pack_iq4_nl(const float* x, const float* importance, int64_t blocks, std::byte* out);
void pack_q4_k(const float* x, const float* importance, int64_t blocks, std::byte* out);
void pack_q5_k(const float* x, const float* importance, int64_t blocks, std::byte* out);
void pack_q6_k(const float* x, const float* importance, int64_t blocks, std::byte* out);

}  // namespace martlet::ops::packed

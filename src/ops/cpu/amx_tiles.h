#pragma once

// Tile registers of AMX (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, "Programming
// with Intel Advanced Matrix Extensions"): eight, each up to 16 rows of 64 bytes. In assembly, since of GCC
// 12 the intrinsics are macros that take digits alone, and its `_tile_loadconfig` reads eight bytes of the
// shapes as far as the optimizer knows. Only where
// CpuFeatures::amx_int8 or amx_bf16.

#include <cstdint>

namespace martlet::ops::cpu {

/// Bytes of a row and rows of each register, palette 1.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

/// Until `end_tiles` this thread's registers have these shapes.
inline void begin_tiles(const TileShapes& shapes) {
  asm volatile("ldtilecfg %0" : : "m"(shapes));
}

inline void end_tiles() {
  asm volatile("tilerelease" : : : "memory");
}

template <int kTile>
[[gnu::always_inline]] inline void load_tile(const void* from, int64_t row_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(row_bytes), "i"(kTile) : "memory");
}

template <int kTile>
[[gnu::always_inline]] inline void store_tile(void* to, int64_t row_bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(row_bytes), "i"(kTile) : "memory");
}

template <int kTile>
[[gnu::always_inline]] inline void clear_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}

/// Sums [rows][16] of int32 += signed bytes [rows][4 k] times signed bytes [k][16][4].
template <int kSums, int kFirst, int kSecond>
[[gnu::always_inline]] inline void multiply_tiles() {
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kFirst), "i"(kSecond));
}

/// Sums [rows][16] of f32 += bf16 [rows][2 k] times bf16 [k][16][2]. Products of even and of odd columns make
/// a chain of fused multiply-adds each, from 0 on; the two are added, then that to the sum. Subnormal
/// elements count as zero, subnormal results become zero.
template <int kSums, int kFirst, int kSecond>
[[gnu::always_inline]] inline void multiply_bf16_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kFirst), "i"(kSecond));
}

}  // namespace martlet::ops::cpu

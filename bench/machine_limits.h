#pragma once

// What this machine can do at most, measured: the denominators of every share in docs/performance.md.

namespace martlet::bench {

/// Fused multiply-adds of f32 on thread_count() threads, operations a second (two for each).
double multiply_add_peak(bool avx512);

/// Bytes a second that thread_count() threads read from memory beyond the caches.
double read_bandwidth();

}  // namespace martlet::bench

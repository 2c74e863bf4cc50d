#pragma once

// Matrices on their way to files, some rows at a time: what they are made of is read, and what they become
// held, a part at a time, so that models larger than memory are written.

#include <functional>

#include "formats/tensor_source.h"

namespace martlet::models {

/// Elements of a part: 16 MiB as f32. Rows enough for many threads, and little beside what the program itself
/// takes. A part has whole rows, and at least `unit` of them, however long they are.
inline constexpr int64_t kPartElements = int64_t{4} << 20;

/// Calls `take` with the bytes that `make` gives for some rows of the matrix after the others; a part begins
/// with a multiple of `unit` rows. What was read of mapped files is let go of after each part.
void take_in_parts(const ops::Weight& weight, int64_t unit,
                   const std::function<Tensor(const ops::Weight& rows)>& make,
                   const formats::TakeBytes& take);
/// The same of bytes as they lie.
void take_in_parts(std::span<const std::byte> bytes, const formats::TakeBytes& take);

/// The most memory that a part of a matrix takes while it is made: what it is read from, as f32, as what it
/// becomes, and what threads unpack meanwhile.
int64_t bytes_of_part(const Shape& matrix, int64_t unit);

}  // namespace martlet::models

#pragma once

// Tensors of memory where those of files are read.

#include <string>

#include "formats/tensor_source.h"

namespace martlet::formats {

/// `tensor`, contiguous on the host, as one that is stored under `name`: its bytes themselves, which live as
/// long as what is given.
StoredTensor stored_tensor(std::string name, const Tensor& tensor);

}  // namespace martlet::formats

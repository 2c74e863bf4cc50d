#include "formats/stored_tensor.h"

#include <utility>

namespace martlet::formats {

StoredTensor stored_tensor(std::string name, const Tensor& tensor) {
  const auto kept = std::make_shared<const Tensor>(tensor);
  return {.name = std::move(name),
          .shape = tensor.shape(),
          .dtype = tensor.dtype(),
          .data = std::shared_ptr<const std::byte>(kept, kept->host_bytes())};
}

}  // namespace martlet::formats

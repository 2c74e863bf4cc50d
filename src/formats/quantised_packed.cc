// Directories of this program whose matrices stay packed: NAME.weight is u8 [.., bytes of a row], rows of
// blocks as ops/packed defines them, and `formats` says of every such tensor by name which format it has.

#include "base/error.h"
#include "formats/names.h"
#include "formats/quantised_parts.h"
#include "ops/packed/grouped.h"

namespace martlet::formats {
namespace {

const ops::PackedFormat& format_named(const Fields& config, const std::string& tensor, const Json& name) {
  if (!name.is_string())
    bad_input("{} formats: expected a name for {}, got {}", config.source(), in_quotes(tensor),
              name.kind_name());
  if (const ops::PackedFormat* format = ops::find_packed_format(name.string())) return *format;
  std::string known;
  for (const ops::PackedFormat* format : ops::packed_formats())
    known += fmt::format("{}{}", known.empty() ? "" : ", ", format->name);
  bad_input("{} formats: {} of {} is not known; known are {}", config.source(), in_quotes(name.string()),
            in_quotes(tensor), known);
}

}  // namespace

void read_packed(const Fields& config, QuantisedParts& parts) {
  const Json* formats = config.value("formats");
  if (formats == nullptr || !formats->is_object())
    bad_input("{}: formats, which says how tensors are packed, is missing", config.source());
  for (const auto& [name, format] : formats->object())
    parts.add_packed(name, format_named(config, name, format));
}

}  // namespace martlet::formats

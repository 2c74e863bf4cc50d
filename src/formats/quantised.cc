#include "formats/quantised.h"

#include "base/error.h"
#include "base/files.h"
#include "formats/names.h"
#include "formats/quantised_parts.h"

namespace martlet::formats {
namespace {

struct Method {
  std::string_view name;  ///< `quant_method`
  void (*read)(const Fields& config, QuantisedParts& parts);
};

constexpr Method kMethods[] = {
    {"gptq", read_gptq},
    {"awq", read_awq},
    {"compressed-tensors", read_compressed_tensors},
    {"bitsandbytes", read_bitsandbytes},
    {kPackedMethod, read_packed},
};

const Method& method_of(const Fields& config) {
  const std::string name = config.text("quant_method");
  std::string known;
  for (const Method& method : kMethods) {
    if (method.name == name) return method;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", method.name);
  }
  bad_input("{}: quant_method {} is not supported; those that are: {}", config.source(), in_quotes(name),
            known);
}

}  // namespace

Json quantisation_of(const ModelFiles& files, const Json& config) {
  if (const Json* found = config.find("quantization_config"); found != nullptr && !found->is_null())
    return *found;
  const std::string beside = files.path + "/quantize_config.json";
  if (!file_exists(beside)) return {};
  Json table = Json::parse_file(beside);
  if (table.is_object() && table.find("quant_method") == nullptr) table.set("quant_method", "gptq");
  return table;
}

QuantisedTensors open_quantised(const ModelFiles& files, const Json& quantisation) {
  const std::string where = files.config + " quantization_config";
  if (!quantisation.is_object()) bad_input("{}: expected a table, got {}", where, quantisation.kind_name());
  method_of(Fields(quantisation, where));  // told before the tensors, whose types may be unknown for it
  return read_quantised(open_tensors(files), quantisation, where);
}

QuantisedTensors read_quantised(const TensorSource& stored, const Json& quantisation,
                                const std::string& where) {
  const Fields config(quantisation, where);
  const Method& method = method_of(config);
  QuantisedParts parts(stored);
  try {
    method.read(config, parts);
    return parts.finish();
  } catch (Error& error) {
    throw error.within(stored.describe());
  }
}

}  // namespace martlet::formats

#include "models/save_gguf.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "models/gguf_layout.h"
#include "models/gguf_vocabulary.h"
#include "models/row_parts.h"
#include "models/tree_values.h"
#include "models/weight_names.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "ops/cast.h"
#include "ops/packed/grouped.h"

namespace martlet::models {
namespace {

// Version 2 of the packed types is the one in use since 2023.
constexpr int64_t kQuantizationVersion = 2;

/// How readers list what most matrices of a file are (`general.file_type`).
struct FileType {
  std::string_view type;
  int64_t number;
};
constexpr FileType kFileTypes[] = {{"f32", 0},   {"f16", 1},   {"bf16", 32}, {"q4_0", 2},    {"q4_1", 3},
                                   {"q8_0", 7},  {"q5_0", 8},  {"q5_1", 9},  {"q2_k", 10},   {"q3_k", 12},
                                   {"q4_k", 15}, {"q5_k", 17}, {"q6_k", 18}, {"iq4_nl", 25}, {"iq4_xs", 30}};

std::string_view name_of(const formats::GgufTensorType& type) {
  return type.packed != nullptr ? type.packed->name : martlet::name_of(type.dtype);
}

formats::GgufTensorType type_of(const ops::Weight& weight) {
  if (!weight.is_packed()) return {.dtype = weight.dense().dtype()};
  // Formats that files of this kind do not know: one that holds the same values.
  if (weight.format().name == "int4_zero") return {.packed = ops::find_packed_format("q5_0")};
  if (weight.format().name == "int8_zero") return {.dtype = DType::kF32};
  return {.packed = &weight.format()};
}

/// The family in whose form the file is written.
const Family& written_family(const OpenModel& model) {
  const Family& family = *model.family;
  if (model.gguf || family.config_to_gguf != nullptr) return family.written_as ? *family.written_as : family;
  std::string known;
  for (const Family* other : families())
    if (other->config_to_gguf != nullptr)
      known += fmt::format("{}{}", known.empty() ? "" : ", ", other->name);
  bad_input("models of the family {} cannot be written as GGUF; those that can are {}", family.name, known);
}

/// Parameters gathered under the names of the file.
class GgufGathering {
 public:
  GgufGathering(const OpenModel& model, const Family& family, const GgufSaveOptions& options)
      : model_(model), options_(options) {
    for (TreeValue& value : tree_values(model)) {
      if (value.own)
        bad_input(
            "{} is a parameter that a rewrite made and no GGUF file can hold; write a directory instead",
            value.path);
      NamedWeight named = find_weight_name(family, value.path);
      if (named.entry == nullptr || named.entry->gguf.empty())
        failed("family {} has no name in GGUF files for {}", family.name, value.path);
      const std::string name = named.gguf();
      if (!parts_.contains(name)) order_.push_back(name);
      parts_[name].push_back({std::move(value), std::move(named)});
    }
  }

  std::vector<formats::OutgoingGgufTensor> tensors() const {
    std::vector<formats::OutgoingGgufTensor> all;
    for (const std::string& name : order_) all.push_back(joined(name, parts_.at(name)));
    return all;
  }
  bool has(const std::string& name) const { return parts_.contains(name); }
  /// The most memory that a part of any takes.
  int64_t bytes_of_part() const {
    int64_t most = 0;
    for (const auto& [name, parts] : parts_)
      for (const Part& part : parts) {
        const bool in_heads = part.form() == Stored::kInterleavedHeads;
        const int64_t unit = in_heads ? head_dim(part.value.path) : 1;
        most = std::max(most, models::bytes_of_part(part.value.shape, unit));
      }
    return most;
  }

 private:
  struct Part {
    TreeValue value;
    NamedWeight named;

    Stored form() const { return named.entry->gguf_form; }
  };

  formats::GgufTensorType wanted(const TreeValue& value) const {
    if (!value.weight.defined() || is_kept_dense(value.path)) return {.dtype = DType::kF32};
    return options_.type ? options_.type(value.path, value.weight) : type_of(value.weight);
  }

  int64_t head_dim(const std::string& path) const {
    const std::string attention = path.substr(0, path.rfind('.', path.rfind('.') - 1));
    const auto module = std::dynamic_pointer_cast<nn::Attention>(nn::module_at(*model_.tree, attention));
    if (module == nullptr) failed("{} is no attention", attention);
    return module->shape().head_dim;
  }

  /// The bytes of one parameter as the file has them. `head_dim`: 1 where rows stay where they are.
  static void take(const Part& part, const formats::GgufTensorType& type, int64_t head_dim,
                   const GgufSaveOptions& options, const formats::TakeBytes& take) {
    const auto in_order = [&](const Tensor& rows) {
      return part.form() == Stored::kInterleavedHeads ? heads_in_pairs(rows.contiguous(), head_dim) : rows;
    };
    const ops::Weight& weight = part.value.weight;
    if (weight.defined()) {
      if (weight.is_interleaved() && type.packed != nullptr)
        bad_input("{} is laid out for running only; leave the rewrite int8_activations out", part.value.path);
      take_in_parts(
          weight, head_dim,
          [&](const ops::Weight& rows) { return in_order(made(part.value.path, rows, type, options)); },
          take);
      return;
    }
    const Tensor& tensor = part.value.tensor;
    const Tensor stored =
        in_order(ops::cast(part.form() == Stored::kPlusOne ? plus(tensor, 1) : tensor, type.dtype))
            .to(Device::kCpu)
            .contiguous();
    take({stored.host_bytes(), static_cast<size_t>(stored.byte_count())});
  }

  /// Rows of the matrix at `path` in the file's type.
  static Tensor made(std::string_view path, const ops::Weight& rows, const formats::GgufTensorType& type,
                     const GgufSaveOptions& options) {
    if (type.packed == nullptr) return ops::cast(rows.is_packed() ? rows.unpack() : rows.dense(), type.dtype);
    if (rows.is_packed() && &rows.format() == type.packed) return rows.storage();
    if (rows.type_name() == "int4_zero" && type.packed->name == "q5_0")
      return ops::int4_zero_as_q5_0(rows).storage();
    return options.pack(path, rows, *type.packed).storage();
  }

  formats::OutgoingGgufTensor joined(const std::string& name, std::vector<Part> parts) const {
    std::sort(parts.begin(), parts.end(),
              [](const Part& a, const Part& b) { return comes_before(a.named, b.named); });
    const Stored form = parts.front().form();
    if (is_transposed(form)) failed("{} is stored in a form that is not written", name);
    if (parts.size() > 1 && !is_shared(form)) failed("{} has {} parts", name, parts.size());
    formats::OutgoingGgufTensor tensor{name, parts.front().value.shape, wanted(parts.front().value), {}};
    if (form == Stored::kStacked)
      tensor.shape = {static_cast<int64_t>(parts.size()), tensor.shape[0], tensor.shape[1]};
    for (size_t i = 1; i < parts.size(); ++i) {
      if (form != Stored::kStacked) tensor.shape[0] += parts[i].value.shape[0];
      const formats::GgufTensorType type = wanted(parts[i].value);
      if (name_of(type) != name_of(tensor.type))
        bad_input("{} joins {} and {}, and a GGUF tensor has one type", name, name_of(tensor.type),
                  name_of(type));
    }
    const int64_t dimension = form == Stored::kInterleavedHeads ? head_dim(parts.front().value.path) : 1;
    // Rows one after the other, packed or not.
    tensor.in_parts = [parts, type = tensor.type, dimension,
                       &options = options_](const formats::TakeBytes& to) {
      for (const Part& part : parts) take(part, type, dimension, options, to);
    };
    return tensor;
  }

  const OpenModel& model_;
  const GgufSaveOptions& options_;
  std::vector<std::string> order_;
  std::map<std::string, std::vector<Part>> parts_;
};

formats::OutgoingGgufTensor passed_on(const std::string& name, const formats::TensorSource& source) {
  const formats::StoredTensor& stored = source.info(name);
  return {.name = name,
          .shape = stored.shape,
          .type = {.dtype = stored.dtype, .packed = stored.packed},
          .load = {},
          .in_parts = [name, source](const formats::TakeBytes& take) {
            const formats::StoredTensor& it = source.info(name);
            take_in_parts({it.data.get(), static_cast<size_t>(it.byte_count())}, take);
          }};
}

/// What most bytes of matrices are.
std::string_view main_type(std::span<const formats::OutgoingGgufTensor> tensors) {
  std::map<std::string_view, int64_t> elements;
  for (const formats::OutgoingGgufTensor& tensor : tensors)
    if (tensor.shape.rank() >= 2) elements[name_of(tensor.type)] += tensor.shape.element_count();
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == elements.end() ? "f32" : most->first;
}

void add_types(std::span<const formats::OutgoingGgufTensor> tensors, std::optional<int64_t> file_type,
               formats::GgufPairs& pairs) {
  const std::string_view type = main_type(tensors);
  for (const FileType& row : kFileTypes)
    if (row.type == type && !file_type) file_type = row.number;
  if (file_type) pairs.integer("general.file_type", *file_type);
  if (std::any_of(tensors.begin(), tensors.end(),
                  [](const auto& tensor) { return tensor.type.packed != nullptr; }))
    pairs.integer("general.quantization_version", kQuantizationVersion);
}

bool is_said_anew(std::string_view key) {
  return key == "general.file_type" || key == "general.quantization_version" || key == "general.alignment" ||
         key.starts_with("split.");
}

std::string folder_name(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return {};
  const size_t begin = path.find_last_of('/', end);
  return path.substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

/// Of a model that came from a directory or was made in memory.
GgufConfig config_of(const OpenModel& model, const Family& written) {
  GgufConfig config;
  config.pairs.text("general.architecture", written.gguf_architecture);
  if (const std::string name = folder_name(model.files.path); !name.empty())
    config.pairs.text("general.name", name);
  const std::string source = model.files.config.empty() ? "config" : model.files.config;
  model.family->config_to_gguf(Fields(model.config, source), config);
  add_vocabulary(model, config.pairs);
  return config;
}

}  // namespace

bool is_kept_dense(std::string_view path) {
  return path == "embed_positions.weight" || path == "embed_segments.weight" ||
         path == "position_bias.relative_attention_bias" || path.ends_with(".router.weight") ||
         path.ends_with(".shared_expert_gate.weight");
}

GgufSaveOptions with_dtype(DType dtype) {
  GgufSaveOptions options;
  options.type = [dtype](std::string_view, const ops::Weight&) {
    return formats::GgufTensorType{.dtype = dtype};
  };
  return options;
}

void save_gguf(const OpenModel& model, const std::string& path, const GgufSaveOptions& options,
               Progress& progress) {
  const Family& family = written_family(model);
  // What the config cannot say is told before anything is asked of the weights.
  GgufConfig config;
  if (!model.gguf) config = config_of(model, family);
  const GgufGathering gathered(model, family, options);
  std::vector<formats::OutgoingGgufTensor> tensors;
  formats::GgufPairs pairs = std::move(config.pairs);
  if (model.gguf) {
    const formats::GgufMetadata& metadata = model.gguf->metadata();
    for (const std::string_view key : metadata.keys())
      if (!is_said_anew(key)) pairs.copy(key, metadata);
    const formats::TensorSource& source = model.gguf->tensors();
    for (const std::string& name : source.names())
      if (!gathered.has(name)) tensors.push_back(passed_on(name, source));
  }
  for (auto& [name, tensor] : config.tensors)
    tensors.push_back(
        {name, tensor.shape(), {.dtype = tensor.dtype()}, [tensor = tensor] { return tensor; }});
  for (formats::OutgoingGgufTensor& tensor : gathered.tensors()) tensors.push_back(std::move(tensor));
  add_types(tensors, options.file_type, pairs);
  if (options.before_writing) options.before_writing(gathered.bytes_of_part());
  formats::write_gguf(path, pairs, tensors, progress);
}

}  // namespace martlet::models

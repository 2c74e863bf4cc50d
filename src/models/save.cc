#include "models/save.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "base/files.h"
#include "formats/quantised.h"
#include "formats/safetensors.h"
#include "models/gguf_vocabulary.h"
#include "models/rewrites_file.h"
#include "models/row_parts.h"
#include "models/tree_values.h"
#include "models/weight_names.h"
#include "nn/tree.h"
#include "ops/cast.h"
#include "ops/concat.h"
#include "text/gguf_to_json.h"

namespace martlet::models {
namespace {

constexpr std::string_view kTokenizerFiles[] = {
    "tokenizer.json",    "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja",   "vocab.json",
    "merges.txt",        "tokenizer.model",       "vocab.txt"};
constexpr std::string_view kOtherFiles[] = {"generation_config.json", "LICENSE", "README.md"};

// Of an element that is loaded with its whole tensor: as it is read, unpacked, cast, and transposed.
constexpr int64_t kBytesWhole = 4 * sizeof(float);

/// A parameter as it will lie in the file.
struct Part {
  TreeValue value;
  NamedWeight named;

  DType dtype() const {
    if (!value.weight.defined()) return value.tensor.dtype();
    return value.weight.is_packed() ? DType::kF32 : value.weight.dense().dtype();
  }
  Tensor load() const {
    if (!value.weight.defined()) return value.tensor;
    return value.weight.is_packed() ? value.weight.unpack() : value.weight.dense();
  }
  void take_as(DType dtype, const formats::TakeBytes& take) const {
    if (value.weight.defined()) {
      take_in_parts(
          value.weight, 1,
          [&](const ops::Weight& rows) {
            return ops::cast(rows.is_packed() ? rows.unpack() : rows.dense(), dtype);
          },
          take);
      return;
    }
    const Tensor whole = ops::cast(value.tensor, dtype).to(Device::kCpu).contiguous();
    take({whole.host_bytes(), static_cast<size_t>(whole.byte_count())});
  }
};

/// Parameters of the tree gathered under the names of files.
class Gathering {
 public:
  Gathering(const OpenModel& opened, const SaveOptions& options)
      : family_(*opened.family), options_(options) {
    for (TreeValue& value : tree_values(opened)) {
      if (value.own) {
        const Part part{std::move(value), {}};
        own_.emplace_back(part.value.path, part.value.shape, part.dtype(), [part] { return part.load(); });
      } else {
        add(std::move(value));
      }
    }
  }

  /// For model.safetensors.
  std::vector<formats::OutgoingTensor> plain() const {
    std::vector<formats::OutgoingTensor> tensors;
    for (const std::string& name : order_) tensors.push_back(joined(name, parts_.at(name)));
    return tensors;
  }
  /// For rewrites.safetensors.
  const std::vector<formats::OutgoingTensor>& own() const { return own_; }
  bool has(const std::string& name) const { return parts_.contains(name); }
  /// The most memory that making a tensor takes, or a part of it where it is written so.
  int64_t bytes_of_part() const {
    int64_t most = 0;
    for (const auto& [name, parts] : parts_) {
      int64_t whole = 0;
      for (const Part& part : parts) {
        most = std::max(most, models::bytes_of_part(part.value.shape, 1));
        whole += part.value.shape.element_count() * kBytesWhole;
      }
      if (is_transposed(parts.front().named.entry->hugging_face_form)) most = std::max(most, whole);
    }
    for (const formats::OutgoingTensor& tensor : own_)
      most = std::max(most, tensor.shape.element_count() * kBytesWhole);
    return most;
  }
  /// The formats of tensors that stay packed, by name; null when there is none.
  Json packed_formats() const {
    Json formats;
    for (const std::string& name : order_)
      if (const ops::PackedFormat* format = kept_format(parts_.at(name))) formats.set(name, format->name);
    return formats;
  }

 private:
  /// The one packed format of all parts; null where they are not to stay packed.
  const ops::PackedFormat* kept_format(const std::vector<Part>& parts) const {
    if (!options_.keep_packed || is_transposed(parts.front().named.entry->hugging_face_form)) return nullptr;
    const ops::PackedFormat* format = nullptr;
    for (const Part& part : parts) {
      const ops::Weight& weight = part.value.weight;
      if (!weight.defined() || !weight.is_packed() || (format != nullptr && format != &weight.format()))
        return nullptr;
      format = &weight.format();
    }
    return format;
  }

  static formats::OutgoingTensor packed(const std::string& name, const std::vector<Part>& parts) {
    int64_t rows = 0;
    for (const Part& part : parts) {
      if (part.value.weight.is_interleaved())
        bad_input("{} is laid out for running only; leave the rewrite int8_activations out", part.value.path);
      rows += part.value.weight.rows();
    }
    return {name, Shape{rows, parts.front().value.weight.storage().dim(1)}, DType::kU8,
            [parts](const formats::TakeBytes& take) {
              for (const Part& part : parts)
                take_in_parts(
                    part.value.weight, 1, [](const ops::Weight& some) { return some.storage(); }, take);
            }};
  }

  void add(TreeValue value) {
    NamedWeight named = find_weight_name(family_, value.path);
    if (named.entry == nullptr || named.entry->hugging_face.empty())
      failed("family {} has no name in Hugging Face files for {}", family_.name, value.path);
    const std::string name = named.hugging_face();
    if (!parts_.contains(name)) order_.push_back(name);
    parts_[name].push_back({std::move(value), std::move(named)});
  }

  /// One tensor of the file from its parts, in the form that the file has.
  formats::OutgoingTensor joined(const std::string& name, std::vector<Part> parts) const {
    std::sort(parts.begin(), parts.end(),
              [](const Part& a, const Part& b) { return comes_before(a.named, b.named); });
    const Stored form = parts.front().named.entry->hugging_face_form;
    const bool is_joined = form == Stored::kJoined || form == Stored::kTransposedJoined;
    if (form != Stored::kAsIs && !is_joined && !is_transposed(form))
      failed("{} is stored in a form that is not written", name);
    if (parts.size() > 1 && !is_joined) failed("{} has {} parts", name, parts.size());
    if (kept_format(parts) != nullptr) return packed(name, parts);
    Shape shape = parts.front().value.shape;
    DType dtype = parts.front().dtype();
    for (size_t i = 1; i < parts.size(); ++i) {
      shape[0] += parts[i].value.shape[0];
      // Some of them were trained and some were not.
      if (parts[i].dtype() != dtype) dtype = DType::kF32;
    }
    if (options_.dtype) dtype = *options_.dtype;
    if (is_transposed(form)) return transposed(name, std::move(parts), {shape[1], shape[0]}, dtype);
    return {name, shape, dtype, [parts, dtype](const formats::TakeBytes& take) {
              for (const Part& part : parts) part.take_as(dtype, take);
            }};
  }

  /// Of which every part holds some of each row.
  static formats::OutgoingTensor transposed(const std::string& name, std::vector<Part> parts,
                                            const Shape& shape, DType dtype) {
    return {name, shape, dtype, [parts = std::move(parts), dtype] {
              std::vector<Tensor> tensors;
              for (const Part& part : parts) tensors.push_back(ops::cast(part.load(), dtype));
              const Tensor whole = tensors.size() == 1 ? tensors.front() : ops::concat(tensors, 0);
              return whole.transpose(0, 1).contiguous();
            }};
  }

  const Family& family_;
  const SaveOptions& options_;
  std::vector<std::string> order_;
  std::map<std::string, std::vector<Part>> parts_;
  std::vector<formats::OutgoingTensor> own_;
};

/// A model made in memory has no files.
bool comes_from_directory(const OpenModel& model) {
  return model.files.kind == formats::ModelKind::kDirectory && !model.files.path.empty();
}

/// Tensors that the model's files hold and the tree has no place for, but which belong to the family's files.
void pass_on_ignored(const OpenModel& model, const Gathering& gathered,
                     std::vector<formats::OutgoingTensor>& tensors) {
  if (!comes_from_directory(model)) return;
  const formats::TensorSource source = formats::open_tensors(model.files);
  for (const std::string& name : source.names()) {
    const auto& ignored = model.family->ignored;
    const bool is_ignored = std::any_of(ignored.begin(), ignored.end(),
                                        [&](std::string_view pattern) { return nn::matches(pattern, name); });
    if (is_ignored && !gathered.has(name)) tensors.emplace_back(name, source.tensor(name));
  }
}

/// The id that a GGUF file's metadata names, as a key of Hugging Face's; nothing where it names none.
void set_id(const formats::GgufMetadata& metadata, std::string_view from, std::string_view to, Json& config) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", from);
  if (metadata.has(key)) config.set(to, metadata.integer(key));
}

/// Ids that begin, end and fill texts. Chats end turns by a token of its own, where a file names one.
void add_special_ids(const formats::GgufMetadata& metadata, Json& config) {
  set_id(metadata, "bos", "bos_token_id", config);
  set_id(metadata, "eos", "eos_token_id", config);
  set_id(metadata, "padding", "pad_token_id", config);
}

/// Keys of config.json that the program has no need of, and its other readers do.
void add_what_directories_say(const OpenModel& model, Json& config) {
  if (config.find("architectures") == nullptr && !model.family->transformers_class.empty())
    config.set("architectures", Json::Array{Json(model.family->transformers_class)});
  // What is not said has defaults there, which may lie outside the vocabulary.
  for (const std::string_view key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    config.set(key, nullptr);
  add_special_ids(model.gguf->metadata(), config);
}

Json generation_config_of(const formats::GgufMetadata& metadata) {
  Json config{Json::Object{}};
  add_special_ids(metadata, config);
  const Json* end = config.find("eos_token_id");
  Json turn_end{Json::Object{}};
  set_id(metadata, "eot", "id", turn_end);
  const Json* other = turn_end.find("id");
  if (end != nullptr && other != nullptr && *end != *other)
    config.set("eos_token_id", Json::Array{*end, *other});
  return config;
}

Json config_of(const OpenModel& model, const Gathering& gathered) {
  Json config = model.config;
  // A head that a rewrite took from the embedding it was tied to is a weight of its own.
  const NamedWeight head = find_weight_name(*model.family, "lm_head.weight");
  const Json* tied = config.find("tie_word_embeddings");
  if (tied != nullptr && tied->is_boolean() && tied->boolean() && head.entry != nullptr &&
      gathered.has(head.hugging_face()))
    config.set("tie_word_embeddings", false);
  if (Json formats = gathered.packed_formats(); !formats.is_null())
    config.set("quantization_config",
               Json().set("quant_method", formats::kPackedMethod).set("formats", std::move(formats)));
  if (model.gguf) add_what_directories_say(model, config);
  return config;
}

/// A GGUF file's tokenizer and chat template as files of their own.
void write_tokenizer(const formats::GgufFile& file, const std::string& to) {
  if (!has_vocabulary(file)) return;
  const text::TokenizerFiles files = text::tokenizer_files(gguf_vocabulary(file));
  write_file(to + "/tokenizer.json", files.tokenizer.dump() + "\n");
  write_file(to + "/tokenizer_config.json", files.config.dump(2) + "\n");
}

void copy_files(std::span<const std::string_view> names, const std::string& from, const std::string& to) {
  for (const std::string_view name : names) {
    const std::string path = fmt::format("{}/{}", from, name);
    if (file_exists(path)) write_file(fmt::format("{}/{}", to, name), read_file(path));
  }
}

/// Besides config and weights: what tokenizers, chats and readers look for.
void copy_companions(const OpenModel& model, const std::string& to) {
  if (model.gguf) {
    write_tokenizer(*model.gguf, to);
    write_file(to + "/generation_config.json", generation_config_of(model.gguf->metadata()).dump(2) + "\n");
  }
  if (!comes_from_directory(model)) return;
  copy_files(kTokenizerFiles, model.files.path, to);
  copy_files(kOtherFiles, model.files.path, to);
}

}  // namespace

void copy_tokenizer(const std::string& from, const std::string& to) {
  if (is_directory(from))
    copy_files(kTokenizerFiles, from, to);
  else
    write_tokenizer(formats::GgufFile(from), to);
}

void save_model_into(const OpenModel& model, const std::string& directory, const SaveOptions& options) {
  const Gathering gathered(model, options);
  std::vector<formats::OutgoingTensor> tensors = gathered.plain();
  pass_on_ignored(model, gathered, tensors);
  copy_companions(model, directory);
  if (options.before_writing) options.before_writing(gathered.bytes_of_part());
  formats::write_safetensors_directory(directory, tensors);
  if (!gathered.own().empty())
    formats::write_safetensors(fmt::format("{}/{}", directory, kRewriteTensorsFile), gathered.own());
  if (const std::string rewrites = rewrites_text(model.rewrites); !rewrites.empty())
    write_file(fmt::format("{}/{}", directory, kRewritesFile), rewrites);
  write_file(directory + "/config.json", config_of(model, gathered).dump(2) + "\n");
}

void save_model(const OpenModel& model, const std::string& directory, const SaveOptions& options) {
  AtomicFolder folder(directory);
  save_model_into(model, folder.path(), options);
  folder.commit();
}

}  // namespace martlet::models

#include "models/save.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "base/files.h"
#include "formats/safetensors.h"
#include "models/gguf_vocabulary.h"
#include "models/rewrites_file.h"
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

/// A value of the tree on its way to a file: announced now, made when its turn comes.
struct Value {
  Shape shape;
  DType dtype;
  std::function<Tensor()> load;
};

Value value_of(const nn::Parameter& parameter) {
  if (parameter.shape().rank() != 2) {
    const Tensor tensor = parameter.tensor();
    return {tensor.shape(), tensor.dtype(), [tensor] { return tensor; }};
  }
  const ops::Weight weight = parameter.weight();
  if (!weight.is_packed())
    return {weight.shape(), weight.dense().dtype(), [weight] { return weight.dense(); }};
  return {weight.shape(), DType::kF32, [weight] { return weight.unpack(); }};
}

/// Parameters that the config itself ties to one before them.
std::set<std::string> tied_paths(const Family& family, const Json& config) {
  std::set<std::string> tied;
  std::set<const void*> seen;
  nn::walk_parameters(*family.build(Fields(config, "config")),
                      [&](const std::string& path, nn::Parameter& parameter) {
                        if (!seen.insert(parameter.identity()).second) tied.insert(path);
                      });
  return tied;
}

/// Parameters of the tree gathered under the names of files.
class Gathering {
 public:
  explicit Gathering(const OpenModel& opened)
      : family_(*opened.family), tied_(tied_paths(*opened.family, opened.config)) {
    nn::Model& model = *opened.tree;
    const nn::ModulePtr root(std::shared_ptr<void>(), &model);
    nn::walk(root, [&](const std::string& path, const nn::ModulePtr& module) { gather(path, *module); });
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

 private:
  struct Part {
    Value value;
    Stored form;
  };

  void gather(const std::string& path, const nn::Module& module) {
    for (const nn::Parameter* parameter : module.parameters()) {
      const std::string at = path.empty() ? parameter->name() : path + "." + parameter->name();
      // Whoever reads the files by the config alone finds every parameter that it does not tie.
      if (!written_.insert(parameter->identity()).second && tied_.contains(at)) continue;
      if (find_weight_name(family_, at).entry != nullptr) {
        add(at, value_of(*parameter));
      } else {
        const Value value = value_of(*parameter);
        own_.emplace_back(at, value.shape, value.dtype, value.load);
      }
    }
    const auto* substitute = dynamic_cast<const nn::Substitute*>(&module);
    if (substitute == nullptr) return;
    for (const auto& [name, tensor] : substitute->plain_parameters()) {
      const std::string at = path + "." + name;
      const auto same = [&](const nn::Parameter* parameter) { return parameter->name() == name; };
      if (std::none_of(module.parameters().begin(), module.parameters().end(), same))
        add(at, {tensor.shape(), tensor.dtype(), [tensor = tensor] { return tensor; }});
    }
  }

  void add(const std::string& path, Value value) {
    const NamedWeight named = find_weight_name(family_, path);
    if (named.entry == nullptr || named.entry->hugging_face.empty())
      failed("family {} has no name in Hugging Face files for {}", family_.name, path);
    const std::string name = named.hugging_face();
    if (!parts_.contains(name)) order_.push_back(name);
    parts_[name].push_back({std::move(value), named.entry->hugging_face_form});
  }

  /// One tensor of the file from its parts, in the form that the file has.
  static formats::OutgoingTensor joined(const std::string& name, std::vector<Part> parts) {
    std::sort(parts.begin(), parts.end(),
              [](const Part& a, const Part& b) { return third_of(a.form) < third_of(b.form); });
    const Stored form = parts.front().form;
    const bool is_joined = third_of(form) >= 0;
    if (form != Stored::kAsIs && !is_joined && !is_transposed(form))
      failed("{} is stored in a form that is not written", name);
    if (parts.size() != (is_joined ? 3u : 1u)) failed("{} has {} parts", name, parts.size());
    Shape shape = parts.front().value.shape;
    DType dtype = parts.front().value.dtype;
    for (size_t i = 1; i < parts.size(); ++i) {
      shape[0] += parts[i].value.shape[0];
      // Some of them were trained and some were not.
      if (parts[i].value.dtype != dtype) dtype = DType::kF32;
    }
    if (is_transposed(form)) std::swap(shape[0], shape[1]);
    return {name, shape, dtype, [parts, form, dtype] {
              std::vector<Tensor> tensors;
              for (const Part& part : parts) tensors.push_back(ops::cast(part.value.load(), dtype));
              const Tensor whole = tensors.size() == 1 ? tensors.front() : ops::concat(tensors, 0);
              return is_transposed(form) ? whole.transpose(0, 1).contiguous() : whole;
            }};
  }

  const Family& family_;
  std::vector<std::string> order_;
  std::map<std::string, std::vector<Part>> parts_;
  std::vector<formats::OutgoingTensor> own_;
  std::set<std::string> tied_;
  std::set<const void*> written_;
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

Json config_of(const OpenModel& model, const Gathering& gathered) {
  Json config = model.config;
  // A head that a rewrite took from the embedding it was tied to is a weight of its own.
  const NamedWeight head = find_weight_name(*model.family, "lm_head.weight");
  const Json* tied = config.find("tie_word_embeddings");
  if (tied != nullptr && tied->is_boolean() && tied->boolean() && head.entry != nullptr &&
      gathered.has(head.hugging_face()))
    config.set("tie_word_embeddings", false);
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
  if (model.gguf) write_tokenizer(*model.gguf, to);
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

void save_model_into(const OpenModel& model, const std::string& directory) {
  const Gathering gathered(model);
  std::vector<formats::OutgoingTensor> tensors = gathered.plain();
  pass_on_ignored(model, gathered, tensors);
  formats::write_safetensors_directory(directory, tensors);
  copy_companions(model, directory);
  if (!gathered.own().empty())
    formats::write_safetensors(fmt::format("{}/{}", directory, kRewriteTensorsFile), gathered.own());
  if (const std::string rewrites = rewrites_text(model.rewrites); !rewrites.empty())
    write_file(fmt::format("{}/{}", directory, kRewritesFile), rewrites);
  write_file(directory + "/config.json", config_of(model, gathered).dump(2) + "\n");
}

void save_model(const OpenModel& model, const std::string& directory) {
  AtomicFolder folder(directory);
  save_model_into(model, folder.path());
  folder.commit();
}

}  // namespace martlet::models

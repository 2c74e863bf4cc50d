#include "models/loader.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "models/findings.h"
#include "models/gguf_layout.h"
#include "models/weight_names.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "ops/cast.h"

namespace martlet::models {
namespace {

Tensor third(const Tensor& tensor, int index) {
  const int64_t rows = tensor.dim(0) / 3;
  return tensor.slice(0, index * rows, (index + 1) * rows);
}

class Loading {
 public:
  Loading(const Family& family, FileForm form, const formats::TensorSource& source)
      : family_(family), form_(form), source_(source) {}

  void load(nn::Model& model) {
    std::set<const void*> done;
    nn::walk_parameters(model, [&](const std::string& path, nn::Parameter& parameter) {
      const bool tied = !done.insert(parameter.identity()).second;
      load_parameter(model, path, parameter, tied);
    });
    for (const std::string& name : source_.names())
      if (!used_.contains(name) && !is_ignored(name)) extra_.add(name);
    report();
  }

 private:
  /// The stored name as this file spells its prefix; the usual spelling when it has none of them.
  std::string spelled(const std::string& usual) const {
    if (form_ == FileForm::kGguf || source_.has(usual)) return usual;
    const std::string_view prefix = family_.prefixes.front();
    if (!usual.starts_with(prefix)) return usual;
    for (const std::string_view other : family_.prefixes.subspan(1)) {
      std::string name = std::string(other) + usual.substr(prefix.size());
      if (source_.has(name)) return name;
    }
    return usual;
  }

  void load_parameter(nn::Model& model, const std::string& path, nn::Parameter& parameter, bool tied) {
    const NamedWeight named = find_weight_name(family_, path);
    if (named.entry == nullptr) failed("family {} has no stored name for {}", family_.name, path);
    const bool gguf = form_ == FileForm::kGguf;
    const std::string name = spelled(gguf ? named.gguf() : named.hugging_face());
    used_.insert(name);
    if (tied) return;
    if (!source_.has(name)) {
      missing_.add(name);
      return;
    }
    try {
      set(model, path, parameter, name, gguf ? named.entry->gguf_form : named.entry->hugging_face_form);
    } catch (const Error& error) {
      wrong_.add(name, error.what());
    }
  }

  void set(nn::Model& model, const std::string& path, nn::Parameter& parameter, const std::string& name,
           Stored form) {
    const Shape& stored = source_.info(name).shape;
    Shape expected = parameter.shape();
    if (third_of(form) >= 0) expected[0] *= 3;
    if (is_transposed(form)) std::swap(expected[0], expected[1]);
    if (stored != expected)
      bad_input("shape {}, and the config says {}", stored.to_string(), expected.to_string());
    if (parameter.shape().rank() != 2) {
      Tensor tensor = source_.tensor(name);
      if (third_of(form) >= 0) tensor = third(tensor, third_of(form)).contiguous();
      if (form == Stored::kPlusOne) tensor = plus(tensor, -1);
      if (form == Stored::kInterleavedHeads) tensor = heads_in_halves(tensor, head_dim(model, path));
      // Vectors are small and kernels take them as f32.
      parameter.set(ops::cast(tensor, DType::kF32));
      return;
    }
    ops::Weight weight = source_.weight(name);
    if (is_transposed(form)) weight = ops::Weight(weight.unpack().transpose(0, 1).contiguous());
    if (third_of(form) >= 0)
      weight = weight.rows(third_of(form) * weight.rows() / 3, (third_of(form) + 1) * weight.rows() / 3);
    if (form == Stored::kInterleavedHeads) {
      const Tensor rows = heads_in_halves(weight.storage(), head_dim(model, path));
      weight = weight.is_packed() ? ops::Weight(weight.format(), rows, weight.columns()) : ops::Weight(rows);
    }
    parameter.set(weight);
  }

  /// Of the attention that holds the projection at `path`.
  static int64_t head_dim(nn::Model& model, const std::string& path) {
    const std::string attention = path.substr(0, path.rfind('.', path.rfind('.') - 1));
    const auto module = std::dynamic_pointer_cast<nn::Attention>(nn::module_at(model, attention));
    if (module == nullptr) failed("{} is no attention", attention);
    return module->shape().head_dim;
  }

  bool is_ignored(const std::string& name) const {
    return std::any_of(family_.ignored.begin(), family_.ignored.end(),
                       [&](std::string_view pattern) { return nn::matches(pattern, name); });
  }

  void report() const {
    std::string message;
    const auto tell = [&](const Findings& findings, std::string_view what) {
      if (findings.count() == 0) return;
      message += fmt::format("{}{} {}: {}", message.empty() ? "" : "; ", findings.count(), what,
                             findings.to_string());
    };
    tell(missing_, "missing");
    tell(wrong_, "of the wrong shape");
    tell(extra_, "that the model has no place for");
    if (!message.empty()) bad_input("{}: the weights contradict the config: {}", source_.describe(), message);
  }

  const Family& family_;
  FileForm form_;
  const formats::TensorSource& source_;
  std::set<std::string> used_;
  Findings missing_;
  Findings wrong_;
  Findings extra_;
};

}  // namespace

void load_weights(nn::Model& model, const Family& family, FileForm form,
                  const formats::TensorSource& source) {
  const OwnerScope owner(Owner::kWeights);
  Loading(family, form, source).load(model);
}

}  // namespace martlet::models

#include "models/loader.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/mapped_parts.h"
#include "models/findings.h"
#include "models/gguf_layout.h"
#include "models/weight_names.h"
#include "nn/layers.h"
#include "nn/reordered_linear.h"
#include "nn/tree.h"
#include "ops/cast.h"
#include "ops/packed/interleaved.h"

namespace martlet::models {
namespace {

/// The parameters that one stored tensor holds, in its order.
struct Share {
  NamedWeight named;
  int64_t rows = 0;
};

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.host_bytes(), static_cast<size_t>(tensor.byte_count())};
}

class Loading {
 public:
  Loading(const Family& family, FileForm form, const formats::TensorSource& source, const KeptWeights& kept,
          std::string_view only, const formats::QuantisedTensors* quantised)
      : family_(family), form_(form), source_(source), kept_(kept), only_(only), quantised_(quantised) {}

  void load(nn::Model& model) {
    std::set<const void*> done;
    nn::walk_parameters(model,
                        [&](const std::string& path, nn::Parameter& parameter) { note(path, parameter); });
    for (auto& [name, shares] : shares_)
      std::sort(shares.begin(), shares.end(),
                [](const Share& a, const Share& b) { return comes_before(a.named, b.named); });
    nn::walk_parameters(model, [&](const std::string& path, nn::Parameter& parameter) {
      const bool tied = !done.insert(parameter.identity()).second;
      load_parameter(model, path, parameter, tied);
    });
    for (const std::string& name : source_.names())
      if (!used_.contains(name) && !is_ignored(name)) extra_.add(name);
    report();
    for (const auto& [path, order] : reordered_) reorder(model, path, order);
  }

 private:
  bool is_gguf() const { return form_ == FileForm::kGguf; }
  Stored stored_form(const NamedWeight& named) const {
    return is_gguf() ? named.entry->gguf_form : named.entry->hugging_face_form;
  }
  std::string usual_name(const NamedWeight& named) const {
    return is_gguf() ? named.gguf() : named.hugging_face();
  }

  /// Remembers a parameter that shares its stored tensor with others.
  void note(const std::string& path, const nn::Parameter& parameter) {
    NamedWeight named = find_weight_name(family_, path);
    if (named.entry == nullptr) failed("family {} has no stored name for {}", family_.name, path);
    if (path == only_) only_value_ = parameter.identity();
    if (is_shared(stored_form(named)))
      shares_[usual_name(named)].push_back({std::move(named), parameter.shape()[0]});
  }

  /// Where the rows of a parameter begin in the tensor that it shares with others, and how many that has.
  struct RowsOfShare {
    int64_t begin = 0;
    int64_t total = 0;
    int64_t count = 0;  ///< of parameters
  };
  RowsOfShare rows_of(const NamedWeight& named) const {
    RowsOfShare rows;
    for (const Share& share : shares_.at(usual_name(named))) {
      if (comes_before(share.named, named)) rows.begin += share.rows;
      rows.total += share.rows;
      ++rows.count;
    }
    return rows;
  }

  /// The stored name as this file spells its prefix; the usual spelling when it has none of them.
  std::string spelled(const std::string& usual) const {
    if (is_gguf() || source_.has(usual)) return usual;
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
    const std::string name = spelled(usual_name(named));
    const bool is_new = used_.insert(name).second;
    if (tied) {
      // Under the name of either; files need not have the second one's.
      set_kept(path, parameter);
      return;
    }
    // A tensor that several parameters share is told of once.
    if (!source_.has(name)) {
      if (is_new) missing_.add(name);
      return;
    }
    RowsOfShare rows;
    try {
      note_order(path, name, stored_form(named));
      rows = check_shape(source_.info(name).shape, parameter.shape(), named);
    } catch (const Error& error) {
      if (is_new) wrong_.add(name, error.what());
      return;
    }
    if (!is_wanted(parameter) || set_kept(path, parameter)) return;
    try {
      set(model, path, parameter, name, named, rows);
    } catch (const Error& error) {
      if (is_new) unreadable_.add(name, error.what());
    }
  }

  /// What is no matrix is small.
  bool is_wanted(const nn::Parameter& parameter) const {
    return only_.empty() || parameter.shape().rank() != 2 || parameter.identity() == only_value_;
  }

  /// Throws unless the stored tensor has the shape that the config says; gives its rows.
  RowsOfShare check_shape(const Shape& stored, const Shape& shape, const NamedWeight& named) const {
    const Stored form = stored_form(named);
    RowsOfShare rows;
    Shape expected = shape;
    if (is_shared(form)) {
      rows = rows_of(named);
      expected[0] = rows.total;
    }
    if (form == Stored::kStacked) expected = {rows.count, shape[0], shape[1]};
    if (is_transposed(form)) std::swap(expected[0], expected[1]);
    const bool is_vector = form == Stored::kRow && stored == Shape{shape[1]};
    if (stored != expected && !is_vector)
      bad_input("shape {}, and the config says {}", stored.to_string(), expected.to_string());
    return rows;
  }

  void set(nn::Model& model, const std::string& path, nn::Parameter& parameter, const std::string& name,
           const NamedWeight& named, const RowsOfShare& rows) {
    const Stored form = stored_form(named);
    const Shape& stored = source_.info(name).shape;
    const int64_t end = rows.begin + parameter.shape()[0];
    if (parameter.shape().rank() != 2 || stored.rank() == 1) {
      Tensor tensor = source_.tensor(name);
      if (is_shared(form)) tensor = tensor.slice(0, rows.begin, end).contiguous();
      if (form == Stored::kPlusOne) tensor = plus(tensor, -1);
      if (form == Stored::kInterleavedHeads) tensor = heads_in_halves(tensor, head_dim(model, path));
      // Vectors are small and kernels take them as f32. In memory of their own: a page of the file for each
      // would hold its neighbours too, and where the system has large pages in its cache 2 MiB of them.
      const bool mapped = tensor.is_read_only();
      const Tensor own =
          tensor.dtype() == DType::kF32 && mapped ? tensor.clone() : ops::cast(tensor, DType::kF32);
      if (mapped) mapped_.forget(bytes_of(tensor));
      parameter.set(own.reshape(parameter.shape()));
      return;
    }
    ops::Weight weight = source_.weight(name);
    const Tensor as_stored = weight.storage();
    if (is_transposed(form)) weight = ops::Weight(weight.unpack().transpose(0, 1).contiguous());
    if (is_shared(form)) weight = weight.rows(rows.begin, end);
    if (form == Stored::kInterleavedHeads) {
      const Tensor halves = heads_in_halves(weight.storage(), head_dim(model, path));
      weight =
          weight.is_packed() ? ops::Weight(weight.format(), halves, weight.columns()) : ops::Weight(halves);
    }
    // What was copied need not stay in memory twice.
    if (is_transposed(form) || form == Stored::kInterleavedHeads) mapped_.forget(bytes_of(as_stored));
    parameter.set(weight);
  }

  /// Whether it is kept, so that the stored one need not be read.
  bool set_kept(const std::string& path, nn::Parameter& parameter) const {
    const auto found = kept_.find(path);
    if (found == kept_.end() || parameter.shape().rank() != 2) return false;
    const ops::PackedFormat* packed = ops::find_packed_format(found->second.format);
    const ops::InterleavedFormat* format = packed == nullptr ? nullptr : ops::interleaved_format(*packed);
    const int64_t rows = parameter.shape()[0], columns = parameter.shape()[1];
    if (format == nullptr) return false;
    const Shape groups{(rows + ops::kGroupRows - 1) / ops::kGroupRows, format->group_bytes(columns)};
    const Tensor& bytes = found->second.bytes;
    if (bytes.byte_count() != groups.element_count()) return false;
    parameter.set(ops::Weight(*format, bytes.reshape(groups), rows, columns));
    return true;
  }

  void note_order(const std::string& path, const std::string& name, Stored form) {
    if (quantised_ == nullptr) return;
    if (is_transposed(form) && quantised_->matrices.contains(name))
      bad_input(
          "it is quantised, and of this family such matrices, which are stored transposed, are not read");
    const auto order = quantised_->orders.find(name);
    if (order == quantised_->orders.end()) return;
    reordered_.emplace_back(path.substr(0, path.rfind('.')), order->second);
  }

  /// Puts a linear layer that reorders its input where a plain one stood.
  static void reorder(nn::Model& model, const std::string& path, const Tensor& order) {
    const auto plain = std::dynamic_pointer_cast<nn::AffineLinear>(nn::module_at(model, path));
    if (plain == nullptr)
      bad_input("{} is no linear layer, and of those alone columns in the order of g_idx are read", path);
    if (!plain->weight.defined()) return;
    auto reordered =
        std::make_shared<nn::ReorderedLinear>(order, plain->out_features(), plain->bias.has_value());
    reordered->weight.set(plain->weight.weight());
    if (plain->bias) reordered->bias->set(plain->bias->tensor());
    nn::replace(model, path, std::move(reordered));
  }

  /// Of the attention that holds the projection at `path`.
  static int64_t head_dim(nn::Model& model, const std::string& path) {
    const std::string attention = path.substr(0, path.rfind('.', path.rfind('.') - 1));
    const auto module = std::dynamic_pointer_cast<nn::Attention>(nn::module_at(model, attention));
    if (module == nullptr) failed("{} is no attention", attention);
    return module->shape().head_dim;
  }

  bool is_ignored(const std::string& name) const {
    if (quantised_ != nullptr && quantised_->zero_biases.contains(name)) return true;
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
    tell(unreadable_, "that cannot be read");
    tell(extra_, "that the model has no place for");
    if (!message.empty()) bad_input("{}: the weights contradict the config: {}", source_.describe(), message);
  }

  const Family& family_;
  FileForm form_;
  const formats::TensorSource& source_;
  const KeptWeights& kept_;
  const std::string_view only_;
  const void* only_value_ = nullptr;
  const formats::QuantisedTensors* quantised_;  // null: not of another tool
  const MappedParts mapped_;
  std::vector<std::pair<std::string, Tensor>> reordered_;
  std::map<std::string, std::vector<Share>> shares_;  // by the usual name
  std::set<std::string> used_;
  Findings missing_;
  Findings wrong_;
  Findings unreadable_;
  Findings extra_;
};

}  // namespace

void load_weights(nn::Model& model, const Family& family, FileForm form, const formats::TensorSource& source,
                  const KeptWeights& kept, std::string_view only) {
  const OwnerScope owner(Owner::kWeights);
  Loading(family, form, source, kept, only, nullptr).load(model);
}

void load_weights(nn::Model& model, const Family& family, const formats::QuantisedTensors& quantised,
                  const KeptWeights& kept, std::string_view only) {
  const OwnerScope owner(Owner::kWeights);
  Loading(family, FileForm::kHuggingFace, quantised.tensors, kept, only, &quantised).load(model);
}

}  // namespace martlet::models

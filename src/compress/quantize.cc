// What it changes: matrices, from floating point to blocks of a few bits with a scale (and a minimum). When
// it pays: decoding reads every weight once a token, so a quarter of the bytes is up to four times the speed,
// and memory shrinks alike. Cost: each weight is rounded to its block's grid; the searches of
// ops/packed/fit.h choose the grids that cost least, weighed by the mean square of each input column where
// that is known. Idea of weighing: a first-order bound of the output's error, as in LeCun et al., "Optimal
// Brain Damage", 1989.
#include "compress/quantize.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"
#include "models/save_gguf.h"
#include "models/weight_names.h"
#include "nn/layers.h"
#include "nn/tree.h"

namespace martlet::compress {
namespace {

using Part = MatrixPlace::Part;

// Rows unpacked at once by a thread.
constexpr int64_t kRowsATime = 8;

/// "layers.12.attention.v_proj.weight" is of layer 12; 0 outside the layers.
int64_t layer_of(std::string_view path) {
  constexpr std::string_view kList = "layers.";
  if (!path.starts_with(kList)) return 0;
  int64_t layer = 0;
  for (size_t i = kList.size(); i < path.size() && path[i] >= '0' && path[i] <= '9'; ++i)
    layer = layer * 10 + (path[i] - '0');
  return layer;
}

/// How many query heads share a key head, from the first layer's shapes; 1 where there are none.
int64_t query_groups_of(nn::Model& model) {
  int64_t groups = 1;
  nn::walk(
      nn::ModulePtr(std::shared_ptr<void>(), &model), [&](const std::string&, const nn::ModulePtr& module) {
        if (const auto* attention = dynamic_cast<const nn::Attention*>(module.get()); attention != nullptr)
          groups = attention->shape().heads / std::max<int64_t>(attention->shape().key_value_heads, 1);
      });
  return groups;
}

/// What places of one model have in common.
class Places {
 public:
  /// `family` may be null: no file joins matrices then.
  Places(nn::Model& model, const models::Family* family)
      : layers_(model.shape().layers), groups_(query_groups_of(model)), family_(family) {
    const void* table = nullptr;
    nn::walk_parameters(model, [&](const std::string& path, nn::Parameter& parameter) {
      if (path == "embed_tokens.weight") table = parameter.identity();
      if (path == "lm_head.weight") is_tied_ = parameter.identity() == table;
    });
  }

  MatrixPlace of(std::string_view path, int64_t columns, const Importance* importance) const {
    MatrixPlace place{
        .layer = layer_of(path), .layers = layers_, .columns = columns, .query_groups = groups_};
    place.has_importance = importance != nullptr;
    if (path == "lm_head.weight" || (path == "embed_tokens.weight" && is_tied_))
      place.part = Part::kHead;
    else if (path == "embed_tokens.weight")
      place.part = Part::kEmbedding;
    else if (path.ends_with(".v_proj.weight") || is_joined(path))
      place.part = Part::kValue;
    else if (path.ends_with(".down_proj.weight"))
      place.part = Part::kDown;
    return place;
  }

 private:
  bool is_joined(std::string_view path) const {
    if (family_ == nullptr) return false;
    const models::NamedWeight named = models::find_weight_name(*family_, path);
    return named.entry != nullptr && named.entry->gguf_form == models::Stored::kJoined &&
           path.find(".attention.") != std::string_view::npos;
  }

  int64_t layers_;
  int64_t groups_;
  const models::Family* family_;
  bool is_tied_ = false;
};

void require_finite(std::string_view path, std::span<const float> numbers) {
  const auto odd = std::find_if(numbers.begin(), numbers.end(), [](float x) { return !std::isfinite(x); });
  if (odd != numbers.end()) bad_input("{} holds {}: only finite weights can be packed", path, *odd);
}

/// Whether a matrix is one that recipes are about: what GGUF files keep dense stays as it is.
bool is_packable(std::string_view path, const nn::Parameter& parameter) {
  return parameter.shape().rank() == 2 && !models::is_kept_dense(path);
}

/// `to` may name a recipe or a format alone.
formats::GgufTensorType wanted(const std::string& to, const MatrixPlace& place) {
  const ops::PackedFormat* format = ops::find_packed_format(to);
  if (format == nullptr || format->pack == nullptr) return type_of(recipe_named(to), place);
  Recipe alone{to, to, 0, {}};
  MatrixPlace plain = place;
  plain.part = Part::kOther;
  return type_of(alone, plain);
}

template <typename Visit>
void each_matrix(const nn::ModulePtr& root, std::string_view pattern, const Visit& visit) {
  nn::walk(root, [&](const std::string& path, const nn::ModulePtr& module) {
    if (path.empty() || !nn::matches(pattern, path)) return;
    for (nn::Parameter* parameter : module->parameters()) {
      const std::string at = path + "." + parameter->name();
      if (is_packable(at, *parameter)) visit(path, at, *parameter);
    }
  });
}

nn::Model& model_of(const nn::ModulePtr& root) {
  auto* model = dynamic_cast<nn::Model*>(root.get());
  if (model == nullptr) failed("the tree's root is no model");
  return *model;
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext& context) {
  const std::string& pattern = arguments.text("pattern");
  const std::string& to = arguments.text("to");
  tree.find(pattern, "");  // refuses a pattern that matches nothing
  const Places places(model_of(tree.root()), nullptr);
  const OwnerScope owner(Owner::kWeights);
  each_matrix(tree.root(), pattern,
              [&](const std::string& path, const std::string& at, nn::Parameter& parameter) {
                const formats::GgufTensorType type = wanted(to, places.of(at, parameter.shape()[1], nullptr));
                if (type.packed == nullptr) return;
                const ops::Weight before = parameter.weight();
                if (parameter.type_name() != type.packed->name) {
                  tree.set(path, parameter, packed(at, before, *type.packed, nullptr));
                  if (context.forget) context.forget(before.storage());
                } else if (before.is_interleaved()) {
                  tree.set(path, parameter, before);  // an earlier start has packed it
                }
              });
}

std::optional<nn::Effect> effect(const nn::ModulePtr& root, const nn::Arguments& arguments) {
  const Places places(model_of(root), nullptr);
  nn::Effect effect;
  std::vector<const void*> counted;
  each_matrix(root, arguments.text("pattern"),
              [&](const std::string&, const std::string& at, nn::Parameter& parameter) {
                if (std::find(counted.begin(), counted.end(), parameter.identity()) != counted.end()) return;
                counted.push_back(parameter.identity());
                const formats::GgufTensorType type =
                    wanted(arguments.text("to"), places.of(at, parameter.shape()[1], nullptr));
                if (type.packed == nullptr) return;
                effect.weight_bytes += parameter.shape()[0] * type.packed->row_bytes(parameter.shape()[1]) -
                                       parameter.byte_count();
              });
  return effect;
}

constexpr std::string_view kTargets[] = {"q4_0",   "q4_1",   "q5_0",   "q5_1",   "q8_0", "q4_k",  "q5_k",
                                         "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k", "iq4_nl"};

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "modules whose matrices are packed", "**"},
    {.name = "to",
     .type = nn::ArgumentType::kChoice,
     .help = "a mixture as `martlet quantize` makes it, or one format for all (q4_k, q5_k)",
     .fallback = "q4_k_m",
     .choices = kTargets},
};

}  // namespace

ops::Weight packed(std::string_view path, const ops::Weight& weight, const ops::PackedFormat& format,
                   const std::vector<float>* columns) {
  if (format.pack == nullptr) bad_input("{}: {} is read, and not written", path, format.name);
  const int64_t width = weight.columns();
  if (width % format.block_elements != 0)
    bad_input("{}: {} columns do not fill blocks of {}, which {} has", path, width, format.block_elements,
              format.name);
  const ops::Weight source = weight.to(Device::kCpu);
  const int64_t row_bytes = format.row_bytes(width);
  Tensor bytes = Tensor::empty({weight.rows(), row_bytes}, DType::kU8);
  std::byte* out = bytes.mutable_host_bytes();
  const int64_t groups = (weight.rows() + kRowsATime - 1) / kRowsATime;
  parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) {
      const int64_t first = group * kRowsATime;
      const int64_t last = std::min(first + kRowsATime, weight.rows());
      const std::vector<float> values = source.rows(first, last).unpack().to_vector<float>();
      require_finite(path, values);
      for (int64_t row = first; row < last; ++row)
        format.pack(values.data() + (row - first) * width, columns == nullptr ? nullptr : columns->data(),
                    width / format.block_elements, out + row * row_bytes);
    }
  });
  return {format, bytes, width};
}

models::GgufSaveOptions quantised(const models::OpenModel& model, const Recipe& recipe,
                                  const Importance* importance) {
  const models::Family& family =
      model.family->written_as != nullptr ? *model.family->written_as : *model.family;
  const auto places = std::make_shared<const Places>(*model.tree, &family);
  models::GgufSaveOptions options;
  options.file_type = recipe.file_type;
  options.type = [places, &recipe, importance](std::string_view path, const ops::Weight& weight) {
    return type_of(recipe, places->of(path, weight.columns(), importance));
  };
  options.pack = [importance](std::string_view path, const ops::Weight& weight, const ops::PackedFormat& to) {
    return packed(path, weight, to,
                  importance == nullptr ? nullptr : importance->find(path, weight.columns()));
  };
  return options;
}

const nn::Rewrite kQuantize{
    .name = "quantize",
    .summary = "matrices in blocks of 4 to 8 bits with scales",
    .pays =
        "when weights fill memory or bandwidth: a quarter of the bytes of bf16, up to four times the "
        "decoding speed; costs the rounding of each weight, and a search for the scales once",
    .source = "LeCun et al., \"Optimal Brain Damage\", 1989 (what an error in a weight costs)",
    .role = {},
    .exactness = nn::Exactness::kApproximate,
    .arguments = kArguments,
    .on_disk =
        "the rounded weights as f32, packed again when the model is opened; `martlet quantize` writes them "
        "packed",
    .packs = true,
    .apply = apply,
    .effect = effect,
};

}  // namespace martlet::compress

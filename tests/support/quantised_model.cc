#include "support/quantised_model.h"

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "formats/safetensors.h"
#include "models/weight_names.h"
#include "nn/tree.h"
#include "ops/cast.h"

namespace martlet::testing {
namespace {

constexpr int64_t kGroup = 32;
// Standard deviations of codes that are drawn evenly.
constexpr double kSpreadOfFourBits = 4.6, kSpreadOfEightBits = 74;

/// A matrix [out, in] on its way to a file.
struct Drawn {
  std::string module;
  int64_t out, in;
  uint64_t seed;
  float size;  ///< the standard deviation of its values
  std::vector<formats::OutgoingTensor>& tensors;

  void add(std::string_view part, const Shape& shape, DType dtype, std::function<Tensor()> make) const {
    tensors.emplace_back(fmt::format("{}.{}", module, part), shape, dtype, std::move(make));
  }
  void add_bits(std::string_view part, const Shape& shape, DType dtype) const {
    add(part, shape, dtype, [shape, dtype, its_seed = seed + stream_of(part)] {
      Tensor bits = Tensor::empty(shape, dtype);
      uint64_t state = its_seed | 1;
      std::byte* to = bits.mutable_host_bytes();
      for (int64_t i = 0; i < bits.byte_count(); ++i) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        to[i] = static_cast<std::byte>(state >> 56);
      }
      return bits;
    });
  }
  /// Between `least` and twice that.
  void add_numbers(std::string_view part, const Shape& shape, DType dtype, double least) const {
    add(part, shape, dtype, [shape, dtype, least, its_seed = seed, stream = stream_of(part)] {
      const Philox random(its_seed, stream);
      std::vector<float> values(static_cast<size_t>(shape.element_count()));
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(least * (1 + static_cast<double>(random.below(i, 64)) / 64));
      return ops::cast(Tensor::from(values, shape), dtype);
    });
  }
  double step(double spread) const { return size / (1.5 * spread); }
};

void draw_gptq(const Drawn& drawn, bool ordered) {
  const int64_t groups = drawn.in / kGroup;
  drawn.add_bits("qweight", {drawn.in / 8, drawn.out}, DType::kI32);
  drawn.add("qzeros", {groups, drawn.out / 8}, DType::kI32, [groups, out = drawn.out] {
    return Tensor::from(std::vector<int32_t>(static_cast<size_t>(groups * out / 8), 0x77777777),
                        {groups, out / 8});
  });
  drawn.add_numbers("scales", {groups, drawn.out}, DType::kF16, drawn.step(kSpreadOfFourBits));
  if (!ordered) return;
  drawn.add("g_idx", {drawn.in}, DType::kI32, [in = drawn.in, seed = drawn.seed] {
    std::vector<int32_t> index(static_cast<size_t>(in));
    for (size_t i = 0; i < index.size(); ++i) index[i] = static_cast<int32_t>(i) / kGroup;
    const Philox random(seed, 1);
    for (size_t i = index.size(); i-- > 1;) std::swap(index[i], index[random.below(i, i + 1)]);
    return Tensor::from(index, {in});
  });
}

void draw_awq(const Drawn& drawn) {
  const int64_t groups = drawn.in / kGroup;
  drawn.add_bits("qweight", {drawn.in, drawn.out / 8}, DType::kI32);
  drawn.add_bits("qzeros", {groups, drawn.out / 8}, DType::kI32);
  drawn.add_numbers("scales", {groups, drawn.out}, DType::kF16, drawn.step(kSpreadOfFourBits));
}

void draw_compressed(const Drawn& drawn) {
  drawn.add_bits("weight_packed", {drawn.out, drawn.in / 8}, DType::kI32);
  drawn.add("weight_shape", {2}, DType::kI64, [out = drawn.out, in = drawn.in] {
    return Tensor::from(std::vector<int64_t>{out, in}, {2});
  });
  drawn.add_numbers("weight_scale", {drawn.out, drawn.in / kGroup}, DType::kBF16,
                    drawn.step(kSpreadOfFourBits));
}

void draw_bitsandbytes(const Drawn& drawn) {
  drawn.add_bits("weight", {drawn.out, drawn.in}, DType::kI8);
  drawn.add_numbers("SCB", {drawn.out}, DType::kF32, 127 * drawn.step(kSpreadOfEightBits));
}

void draw(const Drawn& drawn, std::string_view method) {
  if (method == "awq") return draw_awq(drawn);
  if (method == "compressed") return draw_compressed(drawn);
  if (method == "bitsandbytes") return draw_bitsandbytes(drawn);
  draw_gptq(drawn, method == "gptq_order");
}

Json table_of(std::string_view method) {
  Json table;
  if (method == "bitsandbytes") return table.set("quant_method", "bitsandbytes").set("load_in_8bit", true);
  if (method == "compressed") {
    Json group;
    group.set("weights", Json().set("num_bits", 4).set("type", "int"));
    return table.set("quant_method", "compressed-tensors")
        .set("format", "pack-quantized")
        .set("config_groups", Json().set("group_0", std::move(group)));
  }
  return table.set("quant_method", method == "awq" ? "awq" : "gptq").set("bits", 4).set("group_size", kGroup);
}

/// Norms at 1, everything else near 0.
Tensor plain_values(const Shape& shape, uint64_t seed) {
  const Philox random(seed, 2);
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = shape.rank() == 1 ? 1 : static_cast<float>(random.normal(i) * 0.2);
  return Tensor::from(values, shape);
}

}  // namespace

void write_quantised_directory(const std::string& path, Json config, std::string_view method, uint64_t seed) {
  const models::Family& family = models::family_named("llama");
  const auto tree = family.build(Fields(config, "config"));
  std::vector<formats::OutgoingTensor> tensors;
  nn::walk_parameters(*tree, [&](const std::string& at, nn::Parameter& parameter) {
    const std::string name = models::find_weight_name(family, at).hugging_face();
    const Shape& shape = parameter.shape();
    const uint64_t its_seed = seed * 1000003 + stream_of(at);
    if (shape.rank() != 2 || !at.starts_with("layers.")) {
      tensors.emplace_back(name, shape, DType::kF32,
                           [shape, its_seed] { return plain_values(shape, its_seed); });
      return;
    }
    // What is added to what tokens are stays small beside it, so that replies depend on them.
    const bool adds = at.ends_with("o_proj.weight") || at.ends_with("down_proj.weight");
    const float size = (adds ? 0.1F : 1.0F) / std::sqrt(static_cast<float>(shape[1]));
    draw({name.substr(0, name.rfind('.')), shape[0], shape[1], its_seed, size, tensors}, method);
  });
  make_directories(path);
  formats::write_safetensors(fmt::format("{}/{}", path, formats::kSafetensorsFile), tensors);
  config.set("quantization_config", table_of(method));
  write_file(path + "/config.json", config.dump());
}

}  // namespace martlet::testing

#include "drawn_file.h"

#include <sstream>

#include "base/random.h"
#include "models/save_gguf.h"
#include "nn/tree.h"
#include "support/random_model.h"

namespace martlet::cli {
namespace {

/// `adds`: what it gives is added to what tokens are, and stays small beside it, so that replies depend on
/// them.
ops::Weight drawn(int64_t rows, int64_t columns, uint64_t seed, bool adds) {
  const ops::PackedFormat& format = *ops::find_packed_format("q8_0");
  const Tensor bytes = Tensor::empty({rows, format.row_bytes(columns)}, DType::kU8);
  uint64_t state = seed | 1;
  uint8_t* to = bytes.mutable_data<uint8_t>();
  for (int64_t i = 0; i < bytes.element_count(); ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    to[i] = static_cast<uint8_t>(state >> 56);
    // The scale of a block, an f16 of about 0.0004 or 0.00004.
    if (i % format.block_bytes < 2) to[i] = i % format.block_bytes == 0 ? 0x8e : adds ? 0x02 : 0x0e;
  }
  return ops::Weight(format, bytes, columns);
}

}  // namespace

void write_drawn_file(const std::string& path, const DrawnFileShape& shape) {
  models::OpenModel model;
  model.family = &models::family_named("llama");
  model.config = martlet::testing::small_llama_config();
  model.config.set("vocab_size", shape.vocabulary)
      .set("hidden_size", shape.hidden)
      .set("intermediate_size", shape.intermediate)
      .set("num_hidden_layers", shape.layers)
      .set("num_attention_heads", shape.heads)
      .set("num_key_value_heads", shape.heads / 3)
      .set("max_position_embeddings", 256);
  model.tree = model.family->build(Fields(model.config, "config"));
  nn::walk_parameters(*model.tree, [](const std::string& name, nn::Parameter& parameter) {
    if (parameter.shape().rank() == 2)
      parameter.set(drawn(parameter.shape()[0], parameter.shape()[1], stream_of(name),
                          name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight")));
    else
      parameter.set(Tensor::from(std::vector<float>(static_cast<size_t>(parameter.element_count()), 1.0F),
                                 parameter.shape()));
  });
  models::save_gguf(model, path);
}

std::vector<std::string> ids_of(const std::string& lines) {
  std::vector<std::string> ids;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);)
    ids.push_back(Json::parse(line, "row").at("ids").dump());
  return ids;
}

}  // namespace martlet::cli

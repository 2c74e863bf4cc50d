// How a text is read. The prompt stands before it and sees itself alone, both ways; a token of the text sees
// the prompt and the text up to itself. So what a layer makes of the prompt is the same for all texts: its
// rows go through the layers in front of all others whenever a sequence of the batch begins, and its keys and
// values stand first in that sequence's cache.
#include "models/cpm_tree.h"

#include <algorithm>
#include <cmath>

#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/concat.h"
#include "ops/gather.h"
#include "ops/unary.h"

namespace martlet::models {
namespace {

constexpr float kResidualDivisor = 1.05f;
constexpr int64_t kPromptSegment = 0;
constexpr int64_t kTextSegment = 2;

/// A number for each head and each row: distances, then pairs of segments.
class PositionBias final : public nn::Module {
 public:
  static constexpr std::string_view kRole = "";
  explicit PositionBias(const CpmSizes& sizes)
      : relative_attention_bias(*this, "relative_attention_bias",
                                {sizes.buckets + sizes.pair_rows, sizes.heads}),
        buckets_(sizes.buckets),
        max_distance_(sizes.max_distance),
        segments_(sizes.segments) {}
  std::string_view kind() const override { return "PositionBias"; }
  std::string details() const override {
    return fmt::format("{} distances up to {}", buckets_, max_distance_);
  }

  int64_t row_of_distance(int64_t distance) const {
    return distance_bucket(distance, buckets_, max_distance_);
  }
  int64_t row_of_prompt() const { return buckets_ + kTextSegment * segments_ + kPromptSegment; }

  /// `rows`: of every query and key, [queries * keys]; result [heads, queries, keys] f32.
  Tensor at(const std::vector<int64_t>& rows, int64_t queries, int64_t keys) const {
    const Tensor table = ops::cast(relative_attention_bias.weight().dense(), DType::kF32);
    const Tensor index = Tensor::from(rows, {queries * keys}).to(table.device());
    return ops::index_select(table, 0, index)
        .transpose(0, 1)
        .contiguous()
        .reshape({table.dim(1), queries, keys});
  }

  nn::Parameter relative_attention_bias;

 private:
  int64_t buckets_, max_distance_, segments_;
};

/// Attention of the prompt's rows, if q has them, and of the batch's sequences behind them.
class LeadAttention final : public nn::AttentionCore {
 public:
  LeadAttention(int64_t layer, int64_t lead, float scale, std::shared_ptr<const PositionBias> bias)
      : layer_(layer), lead_(lead), scale_(scale), bias_(std::move(bias)) {}
  std::string_view kind() const override { return "LeadAttention"; }
  std::string details() const override {
    return lead_ == 0 ? "causal" : fmt::format("causal behind {} of a prompt", lead_);
  }

  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v, const nn::Batch& batch) override {
    const int64_t lead_rows = q.dim(0) - batch.token_count();
    if (lead_rows == 0) return of_text(q, k, v, {}, {}, batch);
    const Tensor keys = k.slice(0, 0, lead_rows);
    const Tensor values = v.slice(0, 0, lead_rows);
    const auto text = [&](const Tensor& rows) { return rows.slice(0, lead_rows, rows.dim(0)); };
    return ops::concat(std::vector{of_lead(q.slice(0, 0, lead_rows), keys, values),
                                   of_text(text(q), text(k), text(v), keys, values, batch)},
                       0);
  }

 private:
  Tensor of_lead(const Tensor& q, const Tensor& keys, const Tensor& values) const {
    const int64_t count = q.dim(0);
    std::vector<int64_t> rows;
    for (int64_t query = 0; query < count; ++query)
      for (int64_t key = 0; key < count; ++key) rows.push_back(bias_->row_of_distance(key - query));
    const ops::AttentionSequence sequence{0, count, keys, values};
    return ops::attention(q, std::span(&sequence, 1),
                          {.scale = scale_, .causal = false, .bias = bias_->at(rows, count, count)});
  }

  Tensor of_text(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& lead_keys,
                 const Tensor& lead_values, const nn::Batch& batch) const {
    std::vector<ops::AttentionSequence> sequences;
    int64_t longest = 0;
    for (int64_t i = 0; i < batch.sequence_count(); ++i) {
      const int64_t begin = batch.begin(i);
      const int64_t end = batch.end(i);
      ops::AttentionSequence sequence{begin, end - begin, k.slice(0, begin, end), v.slice(0, begin, end)};
      const bool begins = end > begin && batch.positions()[static_cast<size_t>(begin)] == 0;
      if (begins && lead_keys.defined()) {
        sequence.keys = ops::concat(std::vector{lead_keys, sequence.keys}, 0);
        sequence.values = ops::concat(std::vector{lead_values, sequence.values}, 0);
      }
      if (nn::KvCache* cache = batch.cache(i))
        sequence.tiles = cache->append(layer_, ops::CacheFormat::kF32, sequence.keys, sequence.values);
      longest = std::max(longest, sequence.key_count());
      sequences.push_back(std::move(sequence));
    }
    const ops::AttentionOptions options{.scale = scale_, .bias = text_bias(batch, longest)};
    return ops::attention(q, sequences, options);
  }

  Tensor text_bias(const nn::Batch& batch, int64_t keys) const {
    // Rows by how far a key lies before its query: looked up once.
    std::vector<int64_t> by_distance;
    for (int64_t before = 0; before < keys; ++before) by_distance.push_back(bias_->row_of_distance(-before));
    std::vector<int64_t> rows(static_cast<size_t>(batch.token_count() * keys), 0);
    int64_t* row = rows.data();
    for (const int32_t position : batch.positions()) {
      std::fill_n(row, std::min(lead_, keys), lead_ > 0 ? bias_->row_of_prompt() : 0);
      for (int64_t key = 0; key <= position && lead_ + key < keys; ++key)
        row[lead_ + key] = by_distance[static_cast<size_t>(position - key)];
      row += keys;
    }
    return bias_->at(rows, batch.token_count(), keys);
  }

  int64_t layer_, lead_;
  float scale_;
  std::shared_ptr<const PositionBias> bias_;
};

/// What stands around the two sublayers.
struct CpmScales {
  float input = 1;                ///< of what a sublayer reads
  float attention_output = 1;     ///< of what attention adds
  float feed_forward_output = 1;  ///< of what the feed-forward adds
  float sum = 1;                  ///< of the stream behind each
};

/// x = sum * (x + output * f(input * norm(x))) for attention and for the feed-forward; either may be missing.
class CpmBlock final : public nn::Block {
 public:
  explicit CpmBlock(const CpmScales& scales)
      : attention_norm(*this, "attention_norm"),
        attention(*this, "attention"),
        feed_forward_norm(*this, "feed_forward_norm"),
        feed_forward(*this, "feed_forward"),
        scales_(scales) {}
  std::string_view kind() const override { return "CpmBlock"; }

  Tensor forward(Tensor x, const nn::Batch& batch) override {
    if (attention)
      add(x, attention->forward(scaled(attention_norm->forward(x)), batch), scales_.attention_output);
    if (feed_forward)
      add(x, feed_forward->forward(scaled(feed_forward_norm->forward(x))), scales_.feed_forward_output);
    return x;
  }

  nn::Child<nn::Norm> attention_norm;
  nn::Child<nn::TokenMixer> attention;
  nn::Child<nn::Norm> feed_forward_norm;
  nn::Child<nn::FeedForward> feed_forward;

 private:
  Tensor scaled(Tensor x) const {
    if (scales_.input != 1) ops::scale_in_place(x, scales_.input);
    return x;
  }
  void add(Tensor& x, Tensor y, float output) const {
    if (output != 1) ops::scale_in_place(y, output);
    ops::add_in_place(x, y);
    if (scales_.sum != 1) ops::scale_in_place(x, scales_.sum);
  }

  CpmScales scales_;
};

class CpmModel final : public nn::Model {
 public:
  explicit CpmModel(const CpmSizes& sizes)
      : embed_tokens(*this, "embed_tokens",
                     std::make_shared<nn::TableEmbedding>(sizes.table_rows, sizes.model.hidden_size)),
        embed_segments(*this, "embed_segments"),
        position_bias(*this, "position_bias", std::make_shared<PositionBias>(sizes)),
        layers(*this, "layers", std::make_shared<nn::ModuleList<nn::Block>>()),
        norm(*this, "norm", std::make_shared<nn::RmsNorm>(sizes.model.hidden_size, sizes.epsilon)),
        lm_head(*this, "lm_head"),
        sizes_(sizes),
        scale_(sizes.divides ? 1 / std::sqrt(static_cast<float>(sizes.model.hidden_size)) : 1.0f) {}
  std::string_view kind() const override { return "CpmModel"; }
  std::string details() const override {
    return fmt::format("hidden {}, vocabulary {}, prompt of {}", shape().hidden_size, shape().vocabulary_size,
                       shape().lead_positions);
  }
  const nn::ModelShape& shape() const override { return sizes_.model; }

  Tensor hidden(const nn::Batch& batch) override {
    const auto& positions = batch.positions();
    const bool begins = std::any_of(positions.begin(), positions.end(), [](int32_t at) { return at == 0; });
    const int64_t lead = begins ? shape().lead_positions : 0;
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < lead; ++i) ids.push_back(static_cast<int32_t>(sizes_.first_prompt + i));
    ids.insert(ids.end(), batch.ids().begin(), batch.ids().end());
    Tensor x = embed_tokens->forward(ids);
    if (scale_ != 1) ops::scale_in_place(x, scale_);
    if (embed_segments) {
      std::vector<int32_t> segments(ids.size(), kTextSegment);
      std::fill_n(segments.begin(), lead, static_cast<int32_t>(kPromptSegment));
      ops::add_in_place(x, embed_segments->forward(segments));
    }
    for (size_t layer = 0; layer < layers->size(); ++layer) x = (*layers)[layer].forward(std::move(x), batch);
    return norm->forward(lead == 0 ? x : x.slice(0, lead, x.dim(0)).contiguous());
  }

  Tensor logits(const Tensor& hidden) override {
    Tensor scores = ops::cast(lm_head->forward(hidden), DType::kF32);
    if (scale_ != 1) ops::scale_in_place(scores, scale_);
    return scores;
  }

  Tensor loss(const Tensor& hidden, const Tensor& targets, int64_t ignored) override {
    return lm_head->cross_entropy(hidden, targets, ignored, scale_);
  }

  nn::Child<nn::TableEmbedding> embed_tokens;
  nn::Child<nn::Embedding> embed_segments;  ///< empty unless set
  nn::Child<PositionBias> position_bias;
  nn::Child<nn::ModuleList<nn::Block>> layers;
  nn::Child<nn::Norm> norm;
  nn::Child<nn::Linear> lm_head;

 private:
  CpmSizes sizes_;
  float scale_;
};

float inverse_root(int64_t length) {
  return 1 / std::sqrt(static_cast<float>(length));
}

}  // namespace

int64_t distance_bucket(int64_t distance, int64_t buckets, int64_t max_distance) {
  const int64_t half = buckets / 2;
  const int64_t exact = half / 2;
  const int64_t behind = distance > 0 ? half : 0;
  const int64_t away = std::abs(distance);
  if (away < exact) return behind + away;
  // In f32, as the model was trained with.
  const float part =
      std::log(static_cast<float>(away) / static_cast<float>(exact)) /
      static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
  const auto steps = static_cast<int64_t>(part * static_cast<float>(half - exact));
  return behind + std::min(exact + steps, half - 1);
}

std::shared_ptr<nn::Model> build_cpm_tree(const CpmSizes& sizes) {
  const int64_t hidden_size = sizes.model.hidden_size;
  CpmScales scales;
  if (sizes.divides)
    scales = {inverse_root(hidden_size), inverse_root(sizes.heads * sizes.head_dim),
              inverse_root(sizes.intermediate_size), 1 / kResidualDivisor};
  auto model = std::make_shared<CpmModel>(sizes);
  if (sizes.segments > 0)
    model->embed_segments.set(std::make_shared<nn::TableEmbedding>(sizes.segments, hidden_size));
  const nn::AttentionShape attention{hidden_size, sizes.heads, sizes.heads, sizes.head_dim, false, false};
  for (int64_t layer = 0; layer < sizes.model.layers; ++layer) {
    auto block = std::make_shared<CpmBlock>(scales);
    if (sizes.attends[static_cast<size_t>(layer)]) {
      block->attention_norm.set(std::make_shared<nn::RmsNorm>(hidden_size, sizes.epsilon));
      block->attention.set(std::make_shared<nn::Attention>(
          attention, nullptr,
          std::make_shared<LeadAttention>(layer, sizes.model.lead_positions, inverse_root(sizes.head_dim),
                                          model->position_bias.get())));
    }
    if (sizes.feeds[static_cast<size_t>(layer)]) {
      block->feed_forward_norm.set(std::make_shared<nn::RmsNorm>(hidden_size, sizes.epsilon));
      block->feed_forward.set(std::make_shared<nn::GatedFeedForward>(hidden_size, sizes.intermediate_size,
                                                                     nn::activation_named("gelu"), false));
    }
    model->layers->push_back(std::move(block));
  }
  const auto head = std::make_shared<nn::AffineLinear>(hidden_size, sizes.model.vocabulary_size, false);
  if (sizes.ties_head) head->weight.tie(model->embed_tokens->weight);
  model->lm_head.set(head);
  return model;
}

}  // namespace martlet::models

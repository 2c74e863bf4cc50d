#include "compress/importance.h"

#include <algorithm>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "infer/generate.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "ops/cast.h"

namespace martlet::compress {
namespace {

/// Sums of squares of columns.
struct Sums {
  std::vector<double> squares;
  int64_t rows = 0;

  /// x: [tokens, columns].
  void add(const Tensor& x) {
    const std::vector<float> values = ops::cast(x, DType::kF32).to_vector<float>();
    const int64_t columns = x.dim(x.rank() - 1);
    const int64_t count = x.element_count() / std::max<int64_t>(columns, 1);
    squares.resize(static_cast<size_t>(columns));
    const float* from = values.data();
    constexpr int64_t kColumnsATime = 64;
    parallel_for(columns, kColumnsATime, [&](int64_t begin, int64_t end) {
      for (int64_t row = 0; row < count; ++row)
        for (int64_t column = begin; column < end; ++column) {
          const double value = from[row * columns + column];
          squares[static_cast<size_t>(column)] += value * value;
        }
    });
    rows += count;
  }
};

/// A linear layer that keeps count of what it is given, and lets it pass unchanged.
class Listening final : public nn::Linear {
 public:
  explicit Listening(std::shared_ptr<nn::Linear> module)
      : inner(*this, std::string(nn::kWrapped), std::move(module)) {}
  std::string_view kind() const override { return "Listening"; }
  Tensor forward(const Tensor& x) override {
    sums.add(x);
    return inner->forward(x);
  }
  int64_t in_features() const override { return inner->in_features(); }
  int64_t out_features() const override { return inner->out_features(); }

  nn::Child<nn::Linear> inner;
  Sums sums;
};

/// Wraps every linear layer of a tree and takes the wraps off again at the end.
class Listeners {
 public:
  explicit Listeners(nn::Model& model) : model_(model) {
    const nn::ModulePtr root(std::shared_ptr<void>(), &model);
    for (const std::string& path : nn::find(root, "**"))
      if (auto linear = std::dynamic_pointer_cast<nn::Linear>(nn::module_at(model, path))) {
        auto listening = std::make_shared<Listening>(linear);
        nn::replace(model, path, listening);
        listening_.push_back({path, std::move(linear), std::move(listening)});
      }
  }
  ~Listeners() {
    for (const Entry& entry : listening_) nn::slot_at(model_, entry.path).replace(entry.linear);
  }
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  /// By the path of the weight; of tied ones the first.
  void collect(const Sums& of_head, Importance& importance) const {
    std::map<const void*, std::string> first;
    nn::walk_parameters(model_, [&](const std::string& path, nn::Parameter& parameter) {
      first.emplace(parameter.identity(), path);
    });
    for (const Entry& entry : listening_) {
      const Sums& sums = entry.path == "lm_head" ? of_head : entry.listening->sums;
      const auto* affine = dynamic_cast<const nn::AffineLinear*>(entry.linear.get());
      if (sums.rows == 0 || affine == nullptr) continue;
      std::vector<float>& columns = importance.columns[first.at(affine->weight.identity())];
      for (const double square : sums.squares)
        columns.push_back(static_cast<float>(square / static_cast<double>(sums.rows)));
    }
  }

 private:
  struct Entry {
    std::string path;
    std::shared_ptr<nn::Linear> linear;
    std::shared_ptr<Listening> listening;
  };
  nn::Model& model_;
  std::vector<Entry> listening_;
};

}  // namespace

const std::vector<float>* Importance::find(std::string_view path, int64_t columns_of_it) const {
  const auto found = columns.find(path);
  if (found == columns.end() || static_cast<int64_t>(found->second.size()) != columns_of_it) return nullptr;
  return &found->second;
}

int64_t importance_window(const nn::Model& model, const ImportanceOptions& options) {
  const int64_t context = model.shape().max_positions;
  return context > 0 ? std::min(options.window, context) : options.window;
}

int64_t importance_bytes(const nn::Model& model, const ImportanceOptions& options) {
  int64_t columns = 0, widest = 0;
  nn::walk_parameters(model, [&](const std::string&, nn::Parameter& parameter) {
    if (parameter.shape().rank() != 2) return;
    columns += parameter.shape()[1];
    widest = std::max(widest, parameter.shape()[1]);
  });
  // Sums and their means; what a layer is given, as f32 and copied.
  constexpr int64_t kOfColumn = sizeof(double) + sizeof(float), kOfValue = 2 * sizeof(float);
  return columns * kOfColumn + widest * importance_window(model, options) * kOfValue;
}

Importance gather_importance(nn::Model& model, std::span<const int32_t> ids, const ImportanceOptions& options,
                             Progress& progress) {
  const int64_t width = importance_window(model, options);
  int64_t windows = static_cast<int64_t>(ids.size()) / width;
  if (windows == 0)
    bad_input("the text has {} tokens; importance is taken over windows of {}, so give a longer text",
              ids.size(), width);
  if (options.most_windows > 0) windows = std::min(windows, options.most_windows);
  infer::check_vocabulary(model.shape(), ids);
  const Listeners listeners(model);
  Sums of_head;
  progress.start("Importance", static_cast<uint64_t>(windows * width), "tokens");
  for (int64_t window = 0; window < windows; ++window) {
    throw_if_interrupted();
    std::vector<int32_t> read(ids.begin() + window * width, ids.begin() + (window + 1) * width);
    if (options.begin) read.front() = *options.begin;
    nn::Batch batch;
    batch.add(read);
    // The head reads these; its scores are not needed.
    of_head.add(model.hidden(batch));
    progress.advance(static_cast<uint64_t>((window + 1) * width));
  }
  progress.finish();
  Importance importance;
  listeners.collect(of_head, importance);
  importance.tokens = windows * width;
  importance.window = width;
  return importance;
}

}  // namespace martlet::compress

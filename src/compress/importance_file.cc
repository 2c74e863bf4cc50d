// Importance on disk, in the form that llama.cpp's imatrix tool writes since 2025: for every tensor NAME of
// the model two others, NAME.in_sum2 (sums of squares, one a column) and NAME.counts (over how many tokens).

#include <cmath>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "compress/importance.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "formats/names.h"
#include "models/weight_names.h"
#include "nn/tree.h"
#include "ops/cast.h"

namespace martlet::compress {
namespace {

constexpr std::string_view kSquares = ".in_sum2";
constexpr std::string_view kCounts = ".counts";

const models::Family& written_as(const models::Family& family) {
  return family.written_as != nullptr ? *family.written_as : family;
}

std::vector<float> numbers_of(const formats::TensorSource& source, const std::string& name) {
  std::vector<float> numbers = ops::cast(source.tensor(name), DType::kF32).to_vector<float>();
  for (const float number : numbers)
    if (!(number >= 0) || !std::isfinite(number))
      bad_input("{}: tensor {} holds {}; sums of squares and counts are finite and not negative",
                source.describe(), formats::in_quotes(name), number);
  return numbers;
}

/// The row that a parameter has in a tensor of stacked ones.
size_t expert_of(const models::NamedWeight& named) {
  const bool is_stacked = named.entry->gguf_form == models::Stored::kStacked;
  return is_stacked ? static_cast<size_t>(std::stoul(named.expert)) : 0;
}

/// What a file says of one tensor.
struct Sums {
  int64_t columns = 0;
  std::vector<float> squares;  ///< [rows, columns]
  std::vector<float> counts;   ///< [rows]; 0 where nothing is known

  void set(size_t row, const std::vector<float>& means, int64_t tokens) {
    columns = static_cast<int64_t>(means.size());
    if (counts.size() <= row) counts.resize(row + 1);
    squares.resize(counts.size() * means.size());
    counts[row] = static_cast<float>(tokens);
    for (size_t i = 0; i < means.size(); ++i) squares[row * means.size() + i] = means[i] * counts[row];
  }
};

}  // namespace

bool is_importance_file(const std::string& path) {
  if (!file_exists(path)) return false;
  const MappedFile file(path);
  return formats::as_text(file.bytes()).starts_with("GGUF");
}

void write_importance(const Importance& importance, const models::Family& family, const std::string& path) {
  formats::GgufPairs pairs;
  const std::vector<std::string_view> data = {importance.data};
  pairs.text("general.type", "imatrix").texts("imatrix.datasets", data);
  const int64_t window = std::max<int64_t>(importance.window, 1);
  pairs.integer("imatrix.chunk_count", importance.tokens / window).integer("imatrix.chunk_size", window);
  std::map<std::string, Sums> sums;  // by the tensor's name
  for (const auto& [parameter, columns] : importance.columns) {
    const models::NamedWeight named = models::find_weight_name(written_as(family), parameter);
    if (named.entry == nullptr || named.entry->gguf.empty()) continue;
    // Parts of one tensor see the same input; of stacked ones each has a row of its own.
    sums[named.gguf()].set(expert_of(named), columns, importance.tokens);
  }
  std::vector<formats::OutgoingGgufTensor> tensors;
  for (const auto& [name, rows] : sums) {
    const auto count = static_cast<int64_t>(rows.counts.size());
    const Tensor squares = Tensor::from(rows.squares, {count, rows.columns});
    const Tensor counts = Tensor::from(rows.counts, {count, 1});
    for (const auto& [suffix, tensor] : {std::pair(kSquares, squares), std::pair(kCounts, counts)})
      tensors.push_back(
          {name + std::string(suffix), tensor.shape(), {.dtype = DType::kF32}, [tensor = tensor] {
             return tensor;
           }});
  }
  formats::write_gguf(path, pairs, tensors);
}

Importance read_importance(const std::string& path, const models::OpenModel& model) {
  const formats::GgufFile file(path);
  if (file.metadata().text("general.type", "") != "imatrix")
    bad_input("{}: this GGUF file holds no importance (its general.type is \"{}\", not \"imatrix\")", path,
              file.metadata().text("general.type", ""));
  const formats::TensorSource& source = file.tensors();
  Importance importance;
  importance.window = file.metadata().integer("imatrix.chunk_size", 0);
  importance.tokens = importance.window * file.metadata().integer("imatrix.chunk_count", 0);
  if (file.metadata().has("imatrix.datasets")) {
    const auto names = file.metadata().texts("imatrix.datasets");
    if (!names.empty()) importance.data = names.front();
  }
  std::map<std::string, std::vector<float>> numbers;  // of tensors that were read
  const auto read = [&](const std::string& name) -> const std::vector<float>& {
    const auto [place, is_new] = numbers.try_emplace(name);
    if (is_new) place->second = numbers_of(source, name);
    return place->second;
  };
  nn::walk_parameters(*model.tree, [&](const std::string& parameter, nn::Parameter& value) {
    const models::NamedWeight named = models::find_weight_name(written_as(*model.family), parameter);
    if (named.entry == nullptr || named.entry->gguf.empty()) return;
    const std::string squares = named.gguf() + std::string(kSquares);
    const std::string counts = named.gguf() + std::string(kCounts);
    if (!source.has(squares) || !source.has(counts)) return;
    const std::vector<float>& all = read(squares);
    const std::vector<float>& count = read(counts);
    const size_t row = expert_of(named);
    if (count.size() <= row || count[row] <= 0) return;
    const auto width = static_cast<size_t>(value.shape().rank() == 2 ? value.shape()[1] : 0);
    if (width == 0 || all.size() != width * count.size())
      bad_input("{}: {} has {} columns of importance in {} rows, the model {}", path,
                formats::in_quotes(named.gguf()), all.size(), count.size(), value.shape().to_string());
    std::vector<float> columns(all.begin() + static_cast<int64_t>(row * width),
                               all.begin() + static_cast<int64_t>((row + 1) * width));
    for (float& column : columns) column /= count[row];
    importance.columns[parameter] = std::move(columns);
  });
  if (importance.columns.empty()) bad_input("{}: it holds importance of no tensor of this model", path);
  return importance;
}

}  // namespace martlet::compress

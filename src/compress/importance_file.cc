// Importance on disk, in the form that llama.cpp's imatrix tool writes since 2025: for every tensor NAME of
// the model two others, NAME.in_sum2 (sums of squares, one a column) and NAME.counts (over how many tokens).

#include <cmath>

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
  std::vector<formats::OutgoingGgufTensor> tensors;
  for (const auto& [parameter, columns] : importance.columns) {
    const models::NamedWeight named = models::find_weight_name(written_as(family), parameter);
    if (named.entry == nullptr || named.entry->gguf.empty()) continue;
    std::vector<float> sums;
    for (const float mean : columns) sums.push_back(mean * static_cast<float>(importance.tokens));
    const std::vector<float> count = {static_cast<float>(importance.tokens)};
    const Tensor squares = Tensor::from(sums, {1, static_cast<int64_t>(sums.size())});
    const Tensor counts = Tensor::from(count, {1, 1});
    const std::string name = named.gguf();
    // Thirds of one tensor see the same input.
    if (!tensors.empty() && tensors.back().name == name + std::string(kCounts)) continue;
    tensors.push_back({name + std::string(kSquares), squares.shape(), {.dtype = DType::kF32}, [squares] {
                         return squares;
                       }});
    tensors.push_back(
        {name + std::string(kCounts), counts.shape(), {.dtype = DType::kF32}, [counts] { return counts; }});
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
  nn::walk_parameters(*model.tree, [&](const std::string& parameter, nn::Parameter& value) {
    const models::NamedWeight named = models::find_weight_name(written_as(*model.family), parameter);
    if (named.entry == nullptr || named.entry->gguf.empty()) return;
    const std::string squares = named.gguf() + std::string(kSquares);
    const std::string counts = named.gguf() + std::string(kCounts);
    if (!source.has(squares) || !source.has(counts)) return;
    std::vector<float> columns = numbers_of(source, squares);
    const std::vector<float> count = numbers_of(source, counts);
    if (count.empty() || count.front() <= 0) return;
    if (value.shape().rank() != 2 || static_cast<int64_t>(columns.size()) != value.shape()[1])
      bad_input("{}: {} has {} columns of importance, the model {}", path, formats::in_quotes(named.gguf()),
                columns.size(), value.shape().to_string());
    for (float& column : columns) column /= count.front();
    importance.columns[parameter] = std::move(columns);
  });
  if (importance.columns.empty()) bad_input("{}: it holds importance of no tensor of this model", path);
  return importance;
}

}  // namespace martlet::compress

// Importance on disk, in the forms of llama.cpp's imatrix tool: that of today is written and read, that of
// before 2025 read.

#include <map>

#include "base/error.h"
#include "base/files.h"
#include "compress/importance.h"
#include "compress/stored_importance.h"
#include "formats/gguf_writer.h"
#include "formats/names.h"
#include "models/weight_names.h"
#include "nn/tree.h"

namespace martlet::compress {
namespace {

const models::Family& written_as(const models::Family& family) {
  return family.written_as != nullptr ? *family.written_as : family;
}

bool is_stacked(const models::NamedWeight& named) {
  return named.entry->gguf_form == models::Stored::kStacked;
}

/// The row that a parameter has in a tensor of stacked ones.
size_t expert_of(const models::NamedWeight& named) {
  return is_stacked(named) ? static_cast<size_t>(std::stoul(named.expert)) : 0;
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
  return formats::as_text(file.bytes()).starts_with("GGUF") || is_older_importance(file.bytes());
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
    for (const auto& [suffix, tensor] :
         {std::pair(kSquaresSuffix, squares), std::pair(kCountsSuffix, counts)})
      tensors.push_back(
          {name + std::string(suffix), tensor.shape(), {.dtype = DType::kF32}, [tensor = tensor] {
             return tensor;
           }});
  }
  formats::write_gguf(path, pairs, tensors);
}

Importance read_importance(const std::string& path, const models::OpenModel& model) {
  const StoredImportance stored = read_stored(path);
  Importance importance;
  importance.window = stored.window;
  importance.tokens = stored.tokens;
  importance.data = stored.data;
  nn::walk_parameters(*model.tree, [&](const std::string& parameter, nn::Parameter& value) {
    const models::NamedWeight named = models::find_weight_name(written_as(*model.family), parameter);
    if (named.entry == nullptr || named.entry->gguf.empty()) return;
    const auto found = stored.tensors.find(named.gguf());
    if (found == stored.tensors.end()) return;
    const StoredImportance::Sums& sums = found->second;
    const auto width = static_cast<size_t>(value.shape().rank() == 2 ? value.shape()[1] : 0);
    const size_t row = expert_of(named);
    const size_t rows = width == 0 ? 0 : sums.squares.size() / width;
    if (rows == 0 || sums.squares.size() != width * rows || (rows > 1 && !is_stacked(named)) ||
        (sums.counts.size() != rows && sums.counts.size() != 1))
      bad_input("{}: {} has {} columns of importance, the model {}", path, formats::in_quotes(named.gguf()),
                sums.squares.size(), value.shape().to_string());
    const float count = row < sums.counts.size() ? sums.counts[row] : sums.counts.front();
    if (row >= rows || count <= 0) return;
    std::vector<float> columns(sums.squares.begin() + static_cast<int64_t>(row * width),
                               sums.squares.begin() + static_cast<int64_t>((row + 1) * width));
    for (float& column : columns) column /= count;
    importance.columns[parameter] = std::move(columns);
  });
  if (importance.columns.empty()) bad_input("{}: it holds importance of no tensor of this model", path);
  return importance;
}

}  // namespace martlet::compress

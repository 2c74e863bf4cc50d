#pragma once

// How much each input column of each linear layer matters: the mean square of what stood there while the
// model read a text. For an error e in a row of weights, E[(e x)^2] is about sum e_i^2 E[x_i^2].

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "models/open.h"

namespace martlet::compress {

/// Mean squares by the parameter's path ("layers.0.attention.q_proj.weight"), one a column, and what they
/// were taken from.
struct Importance {
  std::map<std::string, std::vector<float>, std::less<>> columns;
  int64_t tokens = 0;
  int64_t window = 0;
  std::string data;  ///< a name for people

  /// Of a parameter; null where there is none, or it has another number of columns.
  const std::vector<float>* find(std::string_view path, int64_t columns) const;
};

struct ImportanceOptions {
  int64_t window = 512;
  std::optional<int32_t> begin = {};  ///< takes the place of each window's first id
  int64_t most_windows = 0;           ///< 0: all
};

/// Bytes of memory that `gather_importance` takes beside the model that it runs, at most.
int64_t importance_bytes(const nn::Model& model, const ImportanceOptions& options = {});
/// The tokens of a window: `options.window`, or the model's context where that is shorter.
int64_t importance_window(const nn::Model& model, const ImportanceOptions& options = {});

/// Runs the model over whole windows of the text. The tree is unchanged afterwards. Sums are taken in double,
/// token after token: the result depends on model, ids and options alone. Throws BadInput when the text has
/// no whole window, kInterrupted when a stop was requested.
Importance gather_importance(nn::Model& model, std::span<const int32_t> ids,
                             const ImportanceOptions& options = {}, Progress& progress = no_progress());

/// Writes them as llama.cpp's tools read and write them: a GGUF file of the type imatrix, sums of squares
/// under the names that the family's GGUF files use.
void write_importance(const Importance& importance, const models::Family& family, const std::string& path);
/// Reads such a file, or one of the form before (compress/stored_importance.h). Throws BadInput when it is
/// none, or none of its tensors is one of the model's, or a number in it is negative or not finite.
Importance read_importance(const std::string& path, const models::OpenModel& model);
/// Whether the path is such a file, or any GGUF file (and so no text).
bool is_importance_file(const std::string& path);

}  // namespace martlet::compress

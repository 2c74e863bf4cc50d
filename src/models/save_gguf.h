#pragma once

#include <functional>
#include <string>

#include "base/progress.h"
#include "models/open.h"

namespace martlet::models {

struct GgufSaveOptions {
  /// The type that a matrix is to have in the file; unless given, each keeps its own. `path` is the
  /// parameter's in the tree. Matrices that are kept dense are not asked for, nor are vectors: they are f32.
  std::function<formats::GgufTensorType(std::string_view path, const ops::Weight& weight)> type = {};
  /// Makes some rows of the matrix at `path` of a packed type that they do not have yet; called when their
  /// turn comes. Must be given where `type` asks for one.
  std::function<ops::Weight(std::string_view path, const ops::Weight& rows, const ops::PackedFormat& to)>
      pack = {};
  /// `general.file_type`, by which readers call the file; the type of most elements unless given.
  std::optional<int64_t> file_type = {};
  /// Called before the file is begun, with the bytes of memory that making the largest part of a tensor will
  /// take beside what the process holds; may throw.
  std::function<void(int64_t bytes)> before_writing = {};
};

/// Writes a model as one GGUF file that llama.cpp loads: metadata, tokenizer, chat template, weights, whole
/// or not at all, a part of a tensor at a time (models/row_parts.h). What came from a GGUF file keeps its
/// metadata and its tensors that the tree has no place for. Throws BadInput for a family or a config that the
/// file form cannot say, for rewrites that only a directory can hold, and for a tokenizer that would give
/// other ids.
void save_gguf(const OpenModel& model, const std::string& path, const GgufSaveOptions& options = {},
               Progress& progress = no_progress());

/// Whether a matrix stays dense, f32, in every file: tables that are added to the embeddings or to
/// scores, and what chooses experts.
bool is_kept_dense(std::string_view path);

/// A type for every matrix, for GgufSaveOptions.
GgufSaveOptions with_dtype(DType dtype);

}  // namespace martlet::models

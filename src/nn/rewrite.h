#pragma once

// A rewrite takes a tree and gives a tree: the one form of every technique. It is a plain value that declares
// all that others may know of it (help, checks, what the planner weighs), and a function that edits the tree
// through a `TreeEditor`. plan/catalogue.cc lists them; nn/apply_rewrite.h applies them.

#include <functional>
#include <map>
#include <optional>

#include "nn/arguments.h"
#include "nn/made_weights.h"
#include "nn/tree_editor.h"

namespace martlet::nn {

/// What a rewrite does to the model's output.
enum class Exactness : uint8_t {
  kExact,        ///< the same bits
  kRounding,     ///< equal up to the order and rounding of sums
  kApproximate,  ///< another function, near the first
};
std::string_view name_of(Exactness exactness);

/// What a rewrite changes, predicted from shapes alone.
struct Effect {
  int64_t weight_bytes = 0;         ///< added to what the weights take; negative when saved
  double operations_per_token = 0;  ///< added to multiplications and additions of one token
  int64_t cache_tile_bytes = 0;     ///< added to what 64 positions of one sequence take in a cache
};

/// Own tensors of modules that rewrites made, by path ("layers.0.attention.q_proj.up").
using SavedTensors = std::map<std::string, Tensor, std::less<>>;

/// What surrounds one application.
struct RewriteContext {
  /// What an earlier application saved, when a model is opened again; null at the first application.
  const SavedTensors* saved = nullptr;
  /// Told of a value that the rewrite has read and replaced: where it is mapped from a file, its pages need
  /// not stay in memory. May be empty.
  std::function<void(const Tensor& replaced)> forget = {};
  /// The checksum (base/checksum.h) of a parameter's value that is mapped from a file and was not checked
  /// yet, by its path. May be empty.
  std::function<std::optional<uint32_t>(std::string_view path)> checksum = {};
  /// Makes such a value anew, into u8 [byte_count], where what lies in the file is damaged. May be empty.
  std::function<void(std::string_view path, const Tensor& bytes)> remake = {};
  /// Makes and uses all weights of a rewrite, in a place of its own. Empty: `make_together`.
  std::function<void(std::span<const MadeWeight> weights)> make = {};
};

struct Rewrite {
  std::string_view name;
  std::string_view summary;  ///< one line: what it changes in the tree
  std::string_view pays;     ///< when it pays and what it costs, in a sentence or two
  std::string_view source;   ///< the paper it comes from; empty when it needs none
  std::string_view role;     ///< of the modules it applies to; empty: any
  Exactness exactness = Exactness::kExact;
  std::span<const ArgumentDeclaration> arguments;
  /// What it leaves on disk besides its line in martlet.toml; empty: nothing.
  std::string_view on_disk;
  /// It changes how the model is trained or run and nothing of what it computes: a saved model does not know
  /// of it, so that whoever opens it next is not bound by what this call needed.
  bool passing = false;
  /// It packs matrices, each from its own values and the arguments alone, and leaves those that are packed so
  /// already: what it made may be put in their place before it comes.
  bool packs = false;
  /// It leaves the values of all parameters as they are, and where they lie.
  bool keeps_values = false;

  /// Edits the tree. Throws BadInput when the arguments do not fit this tree.
  void (*apply)(TreeEditor& tree, const Arguments& arguments, const RewriteContext& context);
  /// Nothing where it cannot be told without the weights' values.
  std::optional<Effect> (*effect)(const ModulePtr& root, const Arguments& arguments);
  /// What its modules gathered while the model ran, or null when it gathers nothing.
  Json (*report)(const ModulePtr& root) = nullptr;
  /// Names of rewrites that must not stand before it, each with the reason.
  std::span<const std::pair<std::string_view, std::string_view>> refuses_after = {};
};

using RewriteCatalogue = std::span<const Rewrite* const>;

/// By name; throws BadInput with the nearest known name.
const Rewrite& rewrite_named(RewriteCatalogue catalogue, std::string_view name);

/// A module that a rewrite put in the place of a plain one, with other parameters.
class Substitute {
 public:
  virtual ~Substitute() = default;
  /// The parameters of the plain module ("weight", "bias") that come nearest: what a reader who knows no
  /// rewrite is given.
  virtual std::vector<std::pair<std::string, Tensor>> plain_parameters() const = 0;
  /// Whether the plain parameters say all: its own need no place on disk.
  virtual bool is_plain_on_disk() const { return false; }
};

}  // namespace martlet::nn

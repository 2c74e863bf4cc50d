#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ops/weight.h"

namespace martlet::nn {

class Module;

/// A named array of a module: a matrix that may be packed, or a dense tensor of any rank. Several parameters
/// may be tied: they share one value, are stored once and counted once.
class Parameter {
 public:
  /// Registers itself with `owner`, which must be the module that holds it. `shape` is what the value must
  /// have.
  Parameter(Module& owner, std::string name, const Shape& shape);
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const std::string& name() const { return name_; }
  const Shape& shape() const { return shape_; }
  bool defined() const { return value_->weight.defined() || value_->tensor.defined(); }

  /// The value of a parameter of two dimensions; throws when it has none yet.
  const ops::Weight& weight() const;
  /// The value of a dense parameter of any rank; throws when it is packed or has none yet.
  const Tensor& tensor() const;
  /// Replaces the value, of all parameters tied to this one. Throws unless it has the declared shape; for a
  /// packed weight or one that takes bf16 also where a gradient is required.
  void set(const ops::Weight& weight);
  void set(const Tensor& tensor);

  /// Whether a gradient is recorded for what is computed from it, which is so of no parameter at first.
  /// Throws when there is no value yet, or it is packed. A value that is set later takes the old one's place
  /// on the tape, hooks and gradient included.
  void require_gradient(bool required = true);
  bool requires_gradient() const;
  /// From here on, for all that are tied to it, it requires no gradient and never will: `require_gradient`
  /// throws. Its value may stay packed or mapped.
  void freeze();
  bool is_frozen() const { return value_->frozen; }
  /// The sum of the gradients so far (see autograd/leaf.h); undefined when there is none. Both throw unless
  /// it requires one.
  const Tensor& gradient() const;
  void clear_gradient();
  /// See autograd/leaf.h.
  void on_gradient(std::function<void(Tensor& gradient)> hook);

  /// From here on this parameter is the other one (equal shapes).
  void tie(const Parameter& other);
  /// Equal for tied parameters, different otherwise.
  const void* identity() const { return value_.get(); }

  int64_t element_count() const { return shape_.element_count(); }
  /// Bytes of the stored value; 0 without one.
  int64_t byte_count() const;
  /// "f32", "q4_1", or "none".
  std::string_view type_name() const;

 private:
  struct Value {
    ops::Weight weight;                    // when the shape has two dimensions
    Tensor tensor;                         // otherwise
    std::shared_ptr<autograd::Node> leaf;  // when it requires a gradient
    bool frozen = false;
  };

  const Tensor& leaf_value() const;
  void put(Tensor tensor);

  std::string name_;
  Shape shape_;
  std::shared_ptr<Value> value_;
};

}  // namespace martlet::nn

#include <cmath>
#include <vector>

#include "ops/attention_backward.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

/// A tensor's elements in double, to add to and to write back.
class Sums {
 public:
  explicit Sums(const Tensor& tensor) : tensor_(tensor) {
    if (tensor.defined()) values_.resize(static_cast<size_t>(tensor.element_count()));
  }
  void add(int64_t at, double value) {
    if (!values_.empty()) values_[static_cast<size_t>(at)] += value;
  }
  void write() const {
    if (values_.empty()) return;
    Elements elements(tensor_);
    for (int64_t i = 0; i < elements.count(); ++i) elements.set(i, values_[static_cast<size_t>(i)]);
  }

 private:
  Tensor tensor_;
  std::vector<double> values_;
};

/// The sequence's operands and sums.
struct Parts {
  Elements q, keys, values, dy, result, log_sums;
  Sums& dq;
  Sums& dkeys;
  Sums& dvalues;
  Sums& dsinks;
  Sums& dbias;
};

bool sees(const AttentionOptions& options, int64_t position, int64_t key) {
  if (options.causal && key > position) return false;
  return options.window == 0 || std::abs(position - key) < options.window;
}

void add_query(const AttentionProblem& problem, const AttentionSequence& sequence, int64_t number,
               int64_t head, Parts& parts) {
  const AttentionOptions& options = problem.options;
  const int64_t heads = problem.q.dim(1);
  const int64_t head_dim = problem.q.dim(2);
  const int64_t value_dim = problem.value_dim;
  const int64_t key_head = head / (heads / problem.key_value_heads);
  const int64_t token = sequence.query_begin + number;
  const int64_t row = token * heads + head;
  const double log_sum = parts.log_sums[row];
  if (std::isinf(log_sum)) return;
  double delta = 0;
  for (int64_t i = 0; i < value_dim; ++i)
    delta += parts.dy[row * value_dim + i] * parts.result[row * value_dim + i];
  if (options.sinks.defined())
    parts.dsinks.add(head, -std::exp(Elements(options.sinks)[head] - log_sum) * delta);
  const int64_t position = sequence.keys.dim(0) - sequence.query_count + number;
  const double cap = static_cast<double>(options.soft_cap);
  for (int64_t key = 0; key < sequence.keys.dim(0); ++key) {
    if (!sees(options, position, key)) continue;
    const int64_t key_row = (key * problem.key_value_heads + key_head) * head_dim;
    const int64_t value_row = (key * problem.key_value_heads + key_head) * value_dim;
    double score = 0;
    for (int64_t i = 0; i < head_dim; ++i) score += parts.q[row * head_dim + i] * parts.keys[key_row + i];
    score *= static_cast<double>(options.scale);
    double slope = static_cast<double>(options.scale);
    if (cap > 0) {
      const double bent = std::tanh(score / cap);
      score = cap * bent;
      slope *= 1 - bent * bent;
    }
    if (options.bias.defined()) {
      const int64_t plane = options.bias.dim(0) == 1 ? 0 : head;
      score += Elements(options.bias)[(plane * options.bias.dim(1) + token) * options.bias.dim(2) + key];
    }
    const double weight = std::exp(score - log_sum);
    double dweight = 0;
    for (int64_t i = 0; i < value_dim; ++i) {
      dweight += parts.dy[row * value_dim + i] * parts.values[value_row + i];
      parts.dvalues.add(value_row + i, weight * parts.dy[row * value_dim + i]);
    }
    const double dscore = weight * (dweight - delta);
    if (options.bias.defined())
      parts.dbias.add((head * options.bias.dim(1) + token) * options.bias.dim(2) + key, dscore);
    for (int64_t i = 0; i < head_dim; ++i) {
      parts.dq.add(row * head_dim + i, dscore * slope * parts.keys[key_row + i]);
      parts.dkeys.add(key_row + i, dscore * slope * parts.q[row * head_dim + i]);
    }
  }
}

}  // namespace

void attention_backward_reference(const AttentionBackward& backward) {
  const AttentionProblem& problem = backward.problem;
  Sums dq(backward.out.q);
  Sums dsinks(backward.out.sinks);
  Sums dbias(backward.out.bias);
  for (size_t i = 0; i < problem.sequences.size(); ++i) {
    const AttentionSequence& sequence = problem.sequences[i];
    Sums dkeys(backward.out.keys[i]);
    Sums dvalues(backward.out.values[i]);
    Parts parts{Elements(problem.q),
                Elements(sequence.keys),
                Elements(sequence.values),
                Elements(backward.gradient),
                Elements(problem.result),
                Elements(problem.log_sum_exp),
                dq,
                dkeys,
                dvalues,
                dsinks,
                dbias};
    for (int64_t number = 0; number < sequence.query_count; ++number)
      for (int64_t head = 0; head < problem.q.dim(1); ++head)
        add_query(problem, sequence, number, head, parts);
    dkeys.write();
    dvalues.write();
  }
  dq.write();
  dsinks.write();
  dbias.write();
}

}  // namespace martlet::ops

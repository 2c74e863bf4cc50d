#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/attention_problem.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

/// Everything one query of one head needs.
struct Query {
  const AttentionProblem& problem;
  const AttentionSequence& sequence;
  int64_t number;  // within the sequence
  int64_t head;

  int64_t token() const { return sequence.query_begin + number; }
  int64_t key_value_head() const { return head / (problem.q.dim(1) / problem.key_value_heads); }
};

bool sees(const Query& query, int64_t key) {
  const AttentionOptions& options = query.problem.options;
  const int64_t position = query.sequence.keys.dim(0) - query.sequence.query_count + query.number;
  if (options.causal && key > position) return false;
  return options.window == 0 || std::abs(position - key) < options.window;
}

double score(const Query& query, int64_t key, const Elements& q, const Elements& keys) {
  const AttentionProblem& problem = query.problem;
  const AttentionOptions& options = problem.options;
  const int64_t head_dim = problem.q.dim(2);
  const int64_t q_row = (query.token() * problem.q.dim(1) + query.head) * head_dim;
  const int64_t key_row = (key * problem.key_value_heads + query.key_value_head()) * head_dim;
  double sum = 0;
  for (int64_t i = 0; i < head_dim; ++i) sum += q[q_row + i] * keys[key_row + i];
  sum *= static_cast<double>(options.scale);
  const double cap = static_cast<double>(options.soft_cap);
  if (cap > 0) sum = cap * std::tanh(sum / cap);
  if (options.bias.defined()) {
    const int64_t head = options.bias.dim(0) == 1 ? 0 : query.head;
    sum += Elements(options.bias)[(head * options.bias.dim(1) + query.token()) * options.bias.dim(2) + key];
  }
  return sum;
}

void attend(const Query& query, const Elements& q, const Elements& keys, const Elements& values,
            Elements& result) {
  const AttentionProblem& problem = query.problem;
  const double sink = problem.options.sinks.defined() ? Elements(problem.options.sinks)[query.head]
                                                      : -static_cast<double>(INFINITY);
  std::vector<double> scores(static_cast<size_t>(query.sequence.keys.dim(0)), -static_cast<double>(INFINITY));
  double largest = sink;
  for (size_t key = 0; key < scores.size(); ++key) {
    if (!sees(query, static_cast<int64_t>(key))) continue;
    scores[key] = score(query, static_cast<int64_t>(key), q, keys);
    largest = std::max(largest, scores[key]);
  }
  double sum = 0;
  if (!std::isinf(largest)) sum = std::exp(sink - largest);
  std::vector<double> output(static_cast<size_t>(problem.value_dim));
  for (size_t key = 0; key < scores.size(); ++key) {
    if (scores[key] == -static_cast<double>(INFINITY)) continue;
    const double weight = std::exp(scores[key] - largest);
    sum += weight;
    const int64_t row =
        (static_cast<int64_t>(key) * problem.key_value_heads + query.key_value_head()) * problem.value_dim;
    for (size_t i = 0; i < output.size(); ++i) output[i] += weight * values[row + static_cast<int64_t>(i)];
  }
  const int64_t row = query.token() * problem.q.dim(1) + query.head;
  for (size_t i = 0; i < output.size(); ++i)
    result.set(row * problem.value_dim + static_cast<int64_t>(i), sum == 0 ? 0.0 : output[i] / sum);
  if (problem.log_sum_exp.defined()) Elements(problem.log_sum_exp).set(row, largest + std::log(sum));
}

}  // namespace

void attention_reference(const AttentionProblem& problem) {
  const Elements q(problem.q);
  Elements result(problem.result);
  for (const AttentionSequence& sequence : problem.sequences) {
    const Elements keys(sequence.keys);
    const Elements values(sequence.values);
    for (int64_t number = 0; number < sequence.query_count; ++number)
      for (int64_t head = 0; head < problem.q.dim(1); ++head)
        attend({problem, sequence, number, head}, q, keys, values, result);
  }
}

}  // namespace martlet::ops

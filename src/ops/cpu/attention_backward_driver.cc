// Cuts attention's backward into units and shares them out between threads; brings their operands to f32.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "base/thread_pool.h"
#include "ops/attention_backward.h"
#include "ops/cpu/attention_backward_tiles.h"
#include "ops/cpu/attention_tiles.h"
#include "ops/cpu/gradient_kernels.h"
#include "ops/cpu/row_access.h"

namespace martlet::ops::cpu {
namespace {

/// Multiply-adds that are worth a thread's waking: some 10 microseconds.
constexpr double kThreadProducts = 3e5;
/// Rows between asking for one and reading it: some 100 ns of memory against 20 ns to copy a row.
constexpr int64_t kRowsAhead = 8;

/// Buffers of one thread, kept from unit to unit.
struct Buffers {
  std::vector<float> q, dy, keys, values, log_sums, deltas, dq, dkeys, dvalues, result, scratch;
};

/// Room for `rows` of `length` elements, `pitch` apart: zero behind the elements, anything else in them.
float* room(std::vector<float>& buffer, int64_t rows, int64_t length, int64_t pitch) {
  if (length < pitch) {
    buffer.assign(static_cast<size_t>(rows * pitch), 0.0f);
  } else {
    buffer.resize(static_cast<size_t>(rows * pitch));
  }
  return buffer.data();
}

float* zeros(std::vector<float>& buffer, int64_t count) {
  buffer.assign(static_cast<size_t>(count), 0.0f);
  return buffer.data();
}

class BackwardRun {
 public:
  BackwardRun(const AttentionBackward& backward, const AttentionBackwardKernel& kernel)
      : backward_(backward),
        problem_(backward.problem),
        kernel_(kernel),
        heads_(problem_.q.dim(1)),
        group_(heads_ / problem_.key_value_heads),
        head_dim_(problem_.q.dim(2)),
        q_pitch_(rounded_to_lanes(head_dim_)),
        v_pitch_(rounded_to_lanes(problem_.value_dim)) {}

  void run() {
    const int64_t units = static_cast<int64_t>(problem_.sequences.size()) * problem_.key_value_heads;
    double products = 0;
    for (const AttentionSequence& sequence : problem_.sequences)
      products += static_cast<double>(sequence.query_count * heads_ * sequence.keys.dim(0) *
                                      (3 * head_dim_ + 2 * problem_.value_dim));
    const int64_t worth = static_cast<int64_t>(products / kThreadProducts) + 1;
    const int64_t threads = std::min({units, worth, static_cast<int64_t>(thread_count())});
    std::atomic<int64_t> next{0};
    parallel_for(threads, 1, [&](int64_t, int64_t) {
      Buffers buffers;
      for (int64_t unit = next++; unit < units; unit = next++)
        run_unit(static_cast<size_t>(unit / problem_.key_value_heads), unit % problem_.key_value_heads,
                 buffers);
    });
    if (backward_.out.sinks.defined()) add_sinks();
  }

 private:
  /// `length` elements of from[index, head] as f32: where they are, or in `to`. Rows of one head lie far
  /// apart, so that the one some steps ahead is asked for before its time.
  const float* find_row(const Tensor& from, int64_t index, int64_t head, int64_t length, float* to) const {
    const int64_t bytes = size_of(from.dtype());
    const std::byte* row = from.host_bytes() + (index * from.strides()[0] + head * from.strides()[1]) * bytes;
    const std::byte* ahead = row + kRowsAhead * from.strides()[0] * bytes;
    if (index + kRowsAhead < from.dim(0))
      for (int64_t at = 0; at < length * bytes; at += 64) __builtin_prefetch(ahead + at);
    return read_floats(rows_, from.dtype(), row, 1, length, to);
  }
  void read_row(const Tensor& from, int64_t index, int64_t head, int64_t length, float* to) const {
    const float* values = find_row(from, index, head, length, to);
    if (values != to) std::copy_n(values, length, to);
  }

  static void write_row(const float* from, const Tensor& to, int64_t index, int64_t head) {
    if (!to.defined()) return;
    std::copy_n(from, to.dim(2), to.mutable_data<float>() + index * to.strides()[0] + head * to.strides()[1]);
  }

  /// Queries, their gradients and what is known of each row.
  void gather_rows(const AttentionSequence& sequence, int64_t head, Buffers& buffers,
                   AttentionBackwardUnit& unit) const {
    const int64_t rows = sequence.query_count * group_;
    float* q = room(buffers.q, rows, head_dim_, q_pitch_);
    float* dy = room(buffers.dy, rows, problem_.value_dim, v_pitch_);
    float* log_sums = room(buffers.log_sums, rows, 1, 1);
    float* deltas = room(buffers.deltas, rows, 1, 1);
    float* buffer = room(buffers.result, 1, v_pitch_, v_pitch_);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t token = sequence.query_begin + row / group_;
      const int64_t query_head = head * group_ + row % group_;
      read_row(problem_.q, token, query_head, head_dim_, q + row * q_pitch_);
      read_row(backward_.gradient, token, query_head, problem_.value_dim, dy + row * v_pitch_);
      const float* result = find_row(problem_.result, token, query_head, problem_.value_dim, buffer);
      deltas[row] = static_cast<float>(kernels_.dot(dy + row * v_pitch_, result, problem_.value_dim));
      const float log_sum = problem_.log_sum_exp.data<float>()[token * heads_ + query_head];
      log_sums[row] = log_sum == -INFINITY ? INFINITY : log_sum;
    }
    unit.q = q;
    unit.dy = dy;
    unit.log_sums = log_sums;
    unit.deltas = deltas;
    unit.dq = zeros(buffers.dq, rows * q_pitch_);
  }

  void gather_keys(const AttentionSequence& sequence, int64_t head, Buffers& buffers,
                   AttentionBackwardUnit& unit) const {
    float* keys = room(buffers.keys, unit.keys, head_dim_, q_pitch_);
    float* values = room(buffers.values, unit.keys, problem_.value_dim, v_pitch_);
    for (int64_t key = 0; key < unit.keys; ++key) {
      read_row(sequence.keys, key, head, head_dim_, keys + key * q_pitch_);
      read_row(sequence.values, key, head, problem_.value_dim, values + key * v_pitch_);
    }
    unit.key_rows = keys;
    unit.value_rows = values;
    unit.dkeys = zeros(buffers.dkeys, unit.keys * q_pitch_);
    unit.dvalues = zeros(buffers.dvalues, unit.keys * v_pitch_);
  }

  void set_bias(const AttentionSequence& sequence, int64_t head, AttentionBackwardUnit& unit) const {
    const Tensor& bias = problem_.options.bias;
    if (!bias.defined()) return;
    unit.bias_query_stride = bias.strides()[1];
    unit.bias_head_stride = bias.dim(0) == 1 ? 0 : bias.strides()[0];
    unit.bias = bias.data<float>() + head * group_ * unit.bias_head_stride +
                sequence.query_begin * unit.bias_query_stride;
    const Tensor& dbias = backward_.out.bias;
    if (!dbias.defined()) return;
    unit.dbias_query_stride = dbias.strides()[1];
    unit.dbias_head_stride = dbias.strides()[0];
    unit.dbias = dbias.mutable_data<float>() + head * group_ * unit.dbias_head_stride +
                 sequence.query_begin * unit.dbias_query_stride;
  }

  void run_unit(size_t number, int64_t head, Buffers& buffers) const {
    const AttentionSequence& sequence = problem_.sequences[number];
    const AttentionOptions& options = problem_.options;
    AttentionBackwardUnit unit;
    unit.queries = sequence.query_count;
    unit.group = group_;
    unit.keys = sequence.keys.dim(0);
    unit.q_pitch = q_pitch_;
    unit.v_pitch = v_pitch_;
    gather_rows(sequence, head, buffers, unit);
    gather_keys(sequence, head, buffers, unit);
    unit.first_position = unit.keys - sequence.query_count;
    unit.causal = options.causal;
    unit.window = options.window;
    unit.scale = options.scale;
    unit.soft_cap = options.soft_cap;
    set_bias(sequence, head, unit);
    unit.scratch = room(buffers.scratch, kernel_.scratch_floats(unit), 1, 1);
    kernel_.run(unit);
    const AttentionGradients& out = backward_.out;
    for (int64_t row = 0; row < unit.queries * group_; ++row)
      write_row(unit.dq + row * q_pitch_, out.q, sequence.query_begin + row / group_,
                head * group_ + row % group_);
    for (int64_t key = 0; key < unit.keys; ++key) {
      write_row(unit.dkeys + key * q_pitch_, out.keys[number], key, head);
      write_row(unit.dvalues + key * v_pitch_, out.values[number], key, head);
    }
  }

  /// A sink has the weight exp(sink - log_sum) and no value: its gradient is minus the sum of weight times
  /// delta, token after token.
  void add_sinks() const {
    const float* sinks = problem_.options.sinks.data<float>();
    const int64_t sink_stride = problem_.options.sinks.strides()[0];
    float* out = backward_.out.sinks.mutable_data<float>();
    std::vector<float> dy(static_cast<size_t>(problem_.value_dim));
    std::vector<float> result(static_cast<size_t>(problem_.value_dim));
    for (int64_t head = 0; head < heads_; ++head) {
      double sum = 0;
      for (int64_t token = 0; token < problem_.q.dim(0); ++token) {
        const float log_sum = problem_.log_sum_exp.data<float>()[token * heads_ + head];
        if (log_sum == -INFINITY) continue;
        read_row(backward_.gradient, token, head, problem_.value_dim, dy.data());
        read_row(problem_.result, token, head, problem_.value_dim, result.data());
        sum -= std::exp(static_cast<double>(sinks[head * sink_stride]) - static_cast<double>(log_sum)) *
               kernels_.dot(dy.data(), result.data(), problem_.value_dim);
      }
      out[head] = static_cast<float>(sum);
    }
  }

  const AttentionBackward& backward_;
  const AttentionProblem& problem_;
  const AttentionBackwardKernel& kernel_;
  const RowKernels& rows_ = row_kernels();
  const GradientKernels& kernels_ = gradient_kernels();
  int64_t heads_;
  int64_t group_;
  int64_t head_dim_;
  int64_t q_pitch_;
  int64_t v_pitch_;
};

}  // namespace

void run_attention_backward(const AttentionBackward& backward, const AttentionBackwardKernel& kernel) {
  BackwardRun(backward, kernel).run();
}

}  // namespace martlet::ops::cpu

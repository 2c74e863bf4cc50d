// Matrix products of many rows against oneDNN's, in turns in the same run: x W^T as a model's forward pass
// has it. oneDNN gets its best conditions: weights reordered once into the layout it asks for, the primitive
// kept, one call of one thread on each of our threads with an equal share of the rows.
//
//   bench_linear [f32|bf16] [1|2 threads] [turns]

#include "ops/linear.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/core.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"
#include "ops/cast.h"
#include "ops/cpu_features.h"
#include "ops/linear_gradient.h"
#include "ops/machine_limits.h"

namespace martlet::ops {
namespace {

struct Case {
  int64_t tokens, columns, rows;
};

constexpr Case kCases[] = {
    {512, 576, 1536},  {512, 1536, 576},  {1024, 288, 768},  {1024, 768, 288},
    {1024, 768, 768},  {1024, 768, 2048}, {1024, 2048, 768}, {2048, 576, 1536},
    {2048, 768, 2048}, {512, 2048, 5632}, {2048, 288, 288},
};

Tensor numbers(const Shape& shape, DType dtype, uint64_t seed) {
  const Philox random(seed);
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.uniform(i)) - 0.5f;
  return cast(Tensor::from(values, shape), dtype);
}

/// y = a b by oneDNN: a primitive for a thread's share of a's rows.
class Peer {
 public:
  /// `constant`: b is a weight, which may be reordered once.
  Peer(const Tensor& a, const Tensor& b, DType result, bool constant, int threads)
      : engine_(dnnl::engine::kind::cpu, 0), threads_(threads) {
    using dnnl::memory;
    omp_set_num_threads(1);
    const int64_t share = (a.dim(0) + threads - 1) / threads;
    const memory::desc source = described(a.slice(0, 0, share));
    const memory::desc plain = described(b);
    const memory::desc any({b.dim(0), b.dim(1)}, plain.data_type(), memory::format_tag::any);
    y_ = Tensor::zeros({share * threads, b.dim(1)}, result);
    const memory::desc target = described(y_.slice(0, 0, share));
    // Threads that share a primitive bring scratch memory of their own.
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(source, constant ? any : plain, target),
                                                   attributes, engine_);
    primitive_ = dnnl::matmul(description);
    memory stored(plain, engine_, const_cast<std::byte*>(b.host_bytes()));
    weight_ = stored;
    if (constant) {
      weight_ = memory(description.weights_desc(), engine_);
      dnnl::stream stream(engine_);
      dnnl::reorder(stored, weight_).execute(stream, stored, weight_);
      stream.wait();
    }
    for (int thread = 0; thread < threads; ++thread) {
      const int64_t first = std::min(thread * share, a.dim(0) - share);
      parts_.push_back(
          {dnnl::stream(engine_),
           memory(source, engine_, const_cast<std::byte*>(a.slice(0, first, first + share).host_bytes())),
           memory(target, engine_, y_.slice(0, first, first + share).mutable_host_bytes()),
           memory(description.scratchpad_desc(), engine_)});
    }
  }

  void run() {
    parallel_for(threads_, 1, [&](int64_t begin, int64_t end) {
      omp_set_num_threads(1);
      for (int64_t i = begin; i < end; ++i) {
        Part& part = parts_[static_cast<size_t>(i)];
        primitive_.execute(part.stream, {{DNNL_ARG_SRC, part.source},
                                         {DNNL_ARG_WEIGHTS, weight_},
                                         {DNNL_ARG_DST, part.target},
                                         {DNNL_ARG_SCRATCHPAD, part.scratchpad}});
        part.stream.wait();
      }
    });
  }
  const Tensor& y() const { return y_; }

 private:
  static dnnl::memory::desc described(const Tensor& matrix) {
    const auto type =
        matrix.dtype() == DType::kF32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
    return {{matrix.dim(0), matrix.dim(1)}, type, {matrix.strides()[0], matrix.strides()[1]}};
  }

  struct Part {
    dnnl::stream stream;
    dnnl::memory source;
    dnnl::memory target;
    dnnl::memory scratchpad;
  };
  dnnl::engine engine_;
  int threads_;
  dnnl::matmul primitive_;
  dnnl::memory weight_;
  Tensor y_;
  std::vector<Part> parts_;
};

template <typename Call>
double seconds_of(const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// The largest difference as a share of what the sums are made of: both must compute the same.
double difference(const Tensor& a, const Tensor& b, int64_t columns) {
  const std::vector<float> left = cast(a, DType::kF32).to_vector<float>();
  const std::vector<float> right = cast(b, DType::kF32).to_vector<float>();
  double most = 0;
  for (size_t i = 0; i < left.size(); ++i)
    most = std::max(most, static_cast<double>(std::abs(left[i] - right[i])));
  return most / static_cast<double>(columns);
}

enum class Product { kForward, kInputGradient, kWeightGradient };

void measure(const Case& shape, Product product, DType dtype, int threads, int turns, double peak) {
  const Tensor x = numbers({shape.tokens, shape.columns}, dtype, 1);
  const Tensor dy = numbers({shape.tokens, shape.rows}, dtype, 3);
  const Weight weight(numbers({shape.rows, shape.columns}, dtype, 2));
  const Tensor dw = Tensor::zeros({shape.rows, shape.columns}, DType::kF32);
  Tensor result;
  const auto ours = [&] {
    if (product == Product::kForward) result = linear(x, weight);
    if (product == Product::kInputGradient) result = linear_input_gradient(dy, weight);
    if (product != Product::kWeightGradient) return;
    add_linear_weight_gradient(dw, dy, x);
    result = dw;
  };
  Peer peer = product == Product::kForward ? Peer(x, weight.dense().transpose(0, 1), dtype, true, threads)
              : product == Product::kInputGradient ? Peer(dy, weight.dense(), dtype, true, threads)
                                                   : Peer(dy.transpose(0, 1), x, DType::kF32, false, threads);
  peer.run();
  ours();
  if (difference(result, peer.y().slice(0, 0, result.dim(0)), shape.columns) > 1e-2)
    fmt::print("the two results differ\n");
  std::vector<double> times;
  std::vector<double> peer_times;
  std::vector<double> ratios;
  for (int turn = 0; turn < turns; ++turn) {
    times.push_back(seconds_of(ours));
    peer_times.push_back(seconds_of([&] { peer.run(); }));
    ratios.push_back(peer_times.back() / times.back());
  }
  const double operations = linear_cost(shape.tokens, weight).operations * 1e-9;
  const double rate = operations / median(times);
  fmt::print("{:5} x {:4} -> {:4}: {:6.1f} GFLOP/s, oneDNN {:6.1f}, ratio {:.3f}, {:4.1f} % of peak\n",
             shape.tokens, shape.columns, shape.rows, rate, operations / median(peer_times), median(ratios),
             rate / peak * 1e11);
  std::fflush(stdout);
}

}  // namespace
}  // namespace martlet::ops

int main(int count, char** arguments) {
  using namespace martlet;
  const std::string_view dtype = count > 1 ? arguments[1] : "f32";
  const int threads = count > 2 ? std::atoi(arguments[2]) : 1;
  const std::string_view name = count > 3 ? arguments[3] : "forward";
  const int turns = count > 4 ? std::atoi(arguments[4]) : 15;
  const ops::Product product = name == "input"    ? ops::Product::kInputGradient
                               : name == "weight" ? ops::Product::kWeightGradient
                                                  : ops::Product::kForward;
  set_thread_count(threads);
  using ops::cpu::Arithmetic;
  const double peak = ops::cpu::multiply_add_peak(dtype == "bf16" ? Arithmetic::kBF16 : Arithmetic::kF32);
  fmt::print("{} {}, {} threads, {}: peak {:.1f} GFLOP/s\n", name, dtype, threads,
             ops::cpu_features().to_string(), peak * 1e-9);
  for (const ops::Case& each : ops::kCases)
    ops::measure(each, product, dtype == "bf16" ? DType::kBF16 : DType::kF32, threads, turns, peak);
}

// Runs operations for Python: `ops_driver CASES.json`, a list of
//
//   {"operation": "rms_norm", "device": "reference", "dtype": "bf16", "inputs": ["x.npy", null],
//    "arguments": {"eps": 1e-5}, "outputs": ["y.npy"]}
//
// Floating inputs are cast to "dtype" where it is given (NumPy has no bf16), floating outputs are written as
// f32. A null input is "nothing". An operation is one line of kOperations.

#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "ops/activation.h"
#include "ops/argmax.h"
#include "ops/attention.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/concat.h"
#include "ops/cross_entropy.h"
#include "ops/cumulative_sum.h"
#include "ops/gather.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/linear_gradient.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/scatter.h"
#include "ops/softmax.h"
#include "ops/top_k.h"
#include "ops/unary.h"
#include "ops/where.h"

namespace martlet::ops {
namespace {

using Tensors = std::vector<Tensor>;

struct NpyType {
  std::string_view name;
  DType dtype;
};
constexpr NpyType kNpyTypes[] = {{"<f4", DType::kF32}, {"<f2", DType::kF16}, {"|i1", DType::kI8},
                                 {"<i4", DType::kI32}, {"<i8", DType::kI64}, {"|u1", DType::kU8},
                                 {"|b1", DType::kBool}};

/// What stands between `begin` and `end` in an npy header.
std::string between(const std::string& header, std::string_view begin, char end, const std::string& path) {
  const size_t from = header.find(begin);
  const size_t to = from == std::string::npos ? from : header.find(end, from + begin.size());
  if (to == std::string::npos) bad_input("{}: no npy header", path);
  return header.substr(from + begin.size(), to - from - begin.size());
}

Tensor read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (bytes.size() < 10 || bytes.compare(0, 6, "\x93NUMPY") != 0) bad_input("{}: no npy file", path);
  const size_t length = static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
  const std::string header = bytes.substr(10, length);
  if (header.find("'fortran_order': False") == std::string::npos)
    bad_input("{}: not in row-major order", path);
  std::vector<int64_t> sizes;
  const std::string shape = between(header, "'shape': (", ')', path);
  for (size_t at = 0; at < shape.size();) {
    size_t used = 0;
    sizes.push_back(std::stoll(shape.substr(at), &used));
    at = shape.find_first_of("0123456789", at + used);
  }
  const std::string type = between(header, "'descr': '", '\'', path);
  for (const NpyType& known : kNpyTypes)
    if (known.name == type)
      return Tensor::copy_from(std::as_bytes(std::span(bytes).subspan(10 + length)),
                               Shape{std::span<const int64_t>(sizes)}, known.dtype);
  bad_input("{}: npy type {} is not known here", path, type);
}

void write_npy(const std::string& path, const Tensor& tensor) {
  std::string type;
  for (const NpyType& known : kNpyTypes)
    if (known.dtype == tensor.dtype()) type = known.name;
  std::string shape;
  for (const int64_t size : tensor.shape()) shape += std::to_string(size) + ",";
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ').append("\n");
  std::string bytes = std::string("\x93NUMPY\x01", 7) + '\0' + static_cast<char>(header.size() % 256) +
                      static_cast<char>(header.size() / 256) + header;
  const size_t begin = bytes.size();
  bytes.resize(begin + static_cast<size_t>(tensor.byte_count()));
  tensor.copy_to(std::as_writable_bytes(std::span(bytes).subspan(begin)));
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Arguments of a case, with defaults.
class Arguments {
 public:
  explicit Arguments(const Json* json) : json_(json) {}

  float number(std::string_view name, double otherwise = 0) const {
    const Json* value = find(name);
    return static_cast<float>(value == nullptr ? otherwise : value->real());
  }
  int64_t integer(std::string_view name, int64_t otherwise = 0) const {
    const Json* value = find(name);
    return value == nullptr ? otherwise : value->integer();
  }
  int dim(int otherwise = -1) const { return static_cast<int>(integer("dim", otherwise)); }
  bool flag(std::string_view name) const {
    const Json* value = find(name);
    return value != nullptr && value->boolean();
  }
  std::string text(std::string_view name) const { return json_->at(name).string(); }
  std::optional<double> maybe(std::string_view name) const {
    const Json* value = find(name);
    return value == nullptr ? std::nullopt : std::optional(value->real());
  }
  std::vector<double> numbers(std::string_view name) const {
    std::vector<double> values;
    if (const Json* list = find(name))
      for (const Json& value : list->array()) values.push_back(value.real());
    return values;
  }
  std::vector<int> integers(std::string_view name) const {
    std::vector<int> values;
    if (const Json* list = find(name))
      for (const Json& value : list->array()) values.push_back(static_cast<int>(value.integer()));
    return values;
  }

 private:
  const Json* find(std::string_view name) const { return json_ == nullptr ? nullptr : json_->find(name); }

  const Json* json_;
};

Tensors run_unary(const Tensors& in, const Arguments& arguments) {
  for (int i = 0; i < kUnaryCount; ++i)
    if (name_of(static_cast<Unary>(i)) == arguments.text("function"))
      return {unary({static_cast<Unary>(i), arguments.number("a"), arguments.number("b")}, in[0])};
  bad_input("there is no unary function {}", arguments.text("function"));
}

Tensors run_binary(const Tensors& in, const Arguments& arguments) {
  for (int i = 0; i < kBinaryCount; ++i)
    if (name_of(static_cast<Binary>(i)) == arguments.text("function"))
      return {binary(static_cast<Binary>(i), in[0], in[1])};
  bad_input("there is no binary function {}", arguments.text("function"));
}

Tensors run_reduce(const Tensors& in, const Arguments& arguments) {
  for (const Reduction reduction :
       {Reduction::kSum, Reduction::kMean, Reduction::kMaximum, Reduction::kMinimum})
    if (name_of(reduction) == arguments.text("function"))
      return {reduce(reduction, in[0], arguments.integers("dims"), arguments.flag("keep"))};
  bad_input("there is no reduction {}", arguments.text("function"));
}

Tensors run_gated(const Tensors& in, const Arguments& arguments) {
  const std::optional<Unary> activation = find_activation(arguments.text("activation"));
  if (!activation) bad_input("there is no activation {}", arguments.text("activation"));
  return {in.size() == 1 ? gated(*activation, in[0]) : gated(*activation, in[0], in[1])};
}

Tensors run_add_rms_norm(const Tensors& in, const Arguments& arguments) {
  Tensor residual = in[0].clone();
  const Tensor norm =
      add_rms_norm(residual, in[1], in[2], arguments.number("eps"), arguments.number("offset"));
  return {residual, norm};
}

Tensors run_top_k(const Tensors& in, const Arguments& arguments) {
  const TopK top = top_k(in[0], arguments.integer("k"));
  return {top.values, top.indices};
}

Tensors run_cross_entropy(const Tensors& in, const Arguments& arguments) {
  const std::string reduction = arguments.text("reduction");
  return {cross_entropy(in[0], in[1],
                        reduction == "mean"  ? LossReduction::kMean
                        : reduction == "sum" ? LossReduction::kSum
                                             : LossReduction::kNone,
                        arguments.integer("ignore_index", -100))};
}

using InPlace = void (*)(Tensor&, int, const Tensor&, const Tensor&);
Tensors run_in_place(InPlace operation, const Tensors& in, const Arguments& arguments) {
  Tensor x = in[0].clone();
  operation(x, arguments.dim(), in[1], in[2]);
  return {x};
}

DType dtype_named(std::string_view name) {
  for (const DType dtype : kAllDTypes)
    if (name_of(dtype) == name) return dtype;
  bad_input("there is no dtype {}", name);
}

Tensor cast_there(const Tensor& tensor, DType dtype) {
  return cast(tensor.to(Device::kCpu), dtype).to(tensor.device());
}

/// Inputs: q, sinks, bias, then keys and values of each sequence, whose queries follow each other in q;
/// "queries" counts them. "q" and "cache" name dtypes.
Tensors run_attention(const Tensors& in, const Arguments& arguments) {
  AttentionOptions options;
  options.scale = arguments.number("scale");
  options.causal = arguments.flag("causal");
  options.window = arguments.integer("window");
  options.soft_cap = arguments.number("soft_cap");
  options.sinks = in[1];
  options.bias = in[2];
  const DType cache = dtype_named(arguments.text("cache"));
  std::vector<AttentionSequence> sequences;
  int64_t begin = 0;
  for (const int queries : arguments.integers("queries")) {
    const size_t at = 3 + 2 * sequences.size();
    sequences.push_back({begin, queries, cast_there(in.at(at), cache), cast_there(in.at(at + 1), cache)});
    begin += queries;
  }
  Tensor log_sum_exp;
  const Tensor result =
      attention(cast_there(in[0], dtype_named(arguments.text("q"))), sequences, options, &log_sum_exp);
  return {result, log_sum_exp};
}

/// Arguments as transformers names them; gives the inverse frequencies and the attention scale.
Tensors run_rope_frequencies(const Tensors&, const Arguments& arguments) {
  constexpr std::string_view kKinds[] = {"default", "linear", "dynamic", "yarn", "longrope", "llama3"};
  RopeScaling scaling;
  for (int i = 0; i < 6; ++i)
    if (kKinds[i] == arguments.text("rope_type")) scaling.kind = static_cast<RopeScaling::Kind>(i);
  scaling.base = *arguments.maybe("rope_theta");
  scaling.dimensions = arguments.integer("dimensions");
  scaling.max_positions = arguments.integer("max_position_embeddings");
  scaling.original_positions = arguments.integer("original_max_position_embeddings");
  scaling.factor = arguments.maybe("factor").value_or(0);
  scaling.low_frequency_factor = arguments.maybe("low_freq_factor").value_or(1);
  scaling.high_frequency_factor = arguments.maybe("high_freq_factor").value_or(4);
  scaling.beta_fast = arguments.maybe("beta_fast").value_or(32);
  scaling.beta_slow = arguments.maybe("beta_slow").value_or(1);
  scaling.truncate = arguments.integer("truncate", 1) != 0;
  scaling.mscale = arguments.maybe("mscale");
  scaling.mscale_all_dimensions = arguments.maybe("mscale_all_dim");
  scaling.attention_factor = arguments.maybe("attention_factor");
  scaling.short_factor = arguments.numbers("short_factor");
  scaling.long_factor = arguments.numbers("long_factor");
  const RopeFrequencies result = rope_frequencies(scaling, arguments.integer("sequence_length"));
  return {Tensor::from(result.inverse, {static_cast<int64_t>(result.inverse.size())}),
          Tensor::from(std::vector<float>{result.attention_scale}, {1})};
}

/// Inputs: x, positions (i32), inverse frequencies; gives the rotated x, the cosines and the sines.
Tensors run_rope(const Tensors& in, const Arguments& arguments) {
  const RopeFrequencies frequencies{in[2].to_vector<float>(), arguments.number("attention_scale", 1)};
  const RopeTable table = rope_table(in[1].to_vector<int32_t>(), frequencies, in[0].device());
  return {rope(in[0], table), table.cosine, table.sine};
}

struct Operation {
  std::string_view name;
  Tensors (*run)(const Tensors& in, const Arguments& arguments);
};

constexpr Operation kOperations[] = {
    {"unary", run_unary},
    {"binary", run_binary},
    {"reduce", run_reduce},
    {"gated", run_gated},
    {"where", [](const Tensors& in, const Arguments&) { return Tensors{where(in[0], in[1], in[2])}; }},
    {"rms_norm",
     [](const Tensors& in, const Arguments& arguments) {
       return Tensors{rms_norm(in[0], in[1], arguments.number("eps"), arguments.number("offset"))};
     }},
    {"add_rms_norm", run_add_rms_norm},
    {"layer_norm",
     [](const Tensors& in, const Arguments& arguments) {
       return Tensors{layer_norm(in[0], in[1], in[2], arguments.number("eps"))};
     }},
    {"linear",
     [](const Tensors& in, const Arguments&) {
       return Tensors{linear(in[0], Weight(in[1])), linear_input_gradient(in[2], Weight(in[1])),
                      linear_weight_gradient(in[2], in[0])};
     }},
    {"matmul", [](const Tensors& in, const Arguments&) { return Tensors{matmul(in[0], in[1])}; }},
    {"softmax",
     [](const Tensors& in, const Arguments& arguments) { return Tensors{softmax(in[0], arguments.dim())}; }},
    {"log_softmax", [](const Tensors& in,
                       const Arguments& arguments) { return Tensors{log_softmax(in[0], arguments.dim())}; }},
    {"argmax",
     [](const Tensors& in, const Arguments& arguments) { return Tensors{argmax(in[0], arguments.dim())}; }},
    {"concat",
     [](const Tensors& in, const Arguments& arguments) { return Tensors{concat(in, arguments.dim())}; }},
    {"gather", [](const Tensors& in,
                  const Arguments& arguments) { return Tensors{gather(in[0], arguments.dim(), in[1])}; }},
    {"index_select",
     [](const Tensors& in, const Arguments& arguments) {
       return Tensors{index_select(in[0], arguments.dim(), in[1])};
     }},
    {"scatter_add",
     [](const Tensors& in, const Arguments& arguments) {
       return run_in_place(scatter_add_in_place, in, arguments);
     }},
    {"index_add", [](const Tensors& in,
                     const Arguments& arguments) { return run_in_place(index_add_in_place, in, arguments); }},
    {"top_k", run_top_k},
    {"cumulative_sum",
     [](const Tensors& in, const Arguments& arguments) {
       return Tensors{cumulative_sum(in[0], arguments.dim())};
     }},
    {"cross_entropy", run_cross_entropy},
    {"attention", run_attention},
    {"rope_frequencies", run_rope_frequencies},
    {"rope", run_rope},
};

void run_case(const Json& item) {
  const Device device = item.at("device").string() == "reference" ? Device::kReference : Device::kCpu;
  const Json* dtype = item.find("dtype");
  Tensors in;
  for (const Json& path : item.at("inputs").array()) {
    Tensor tensor = path.is_null() ? Tensor() : read_npy(path.string());
    if (tensor.defined() && dtype != nullptr && is_floating(tensor.dtype()))
      tensor = cast(tensor, dtype_named(dtype->string()));
    in.push_back(tensor.defined() ? tensor.to(device) : tensor);
  }
  const std::string& name = item.at("operation").string();
  for (const Operation& operation : kOperations) {
    if (operation.name != name) continue;
    const Tensors out = operation.run(in, Arguments(item.find("arguments")));
    const Json::Array& paths = item.at("outputs").array();
    for (size_t i = 0; i < paths.size(); ++i) {
      const Tensor tensor = out.at(i).to(Device::kCpu);
      write_npy(paths[i].string(), is_floating(tensor.dtype()) ? cast(tensor, DType::kF32) : tensor);
    }
    return;
  }
  bad_input("there is no operation {}", name);
}

}  // namespace
}  // namespace martlet::ops

int main(int argc, char** argv) {
  try {
    if (argc != 2) martlet::bad_input("usage: ops_driver CASES.json");
    const martlet::Json cases = martlet::Json::parse_file(argv[1]);
    for (const martlet::Json& item : cases.array()) martlet::ops::run_case(item);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

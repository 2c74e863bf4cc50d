// optimizers_driver CASE.json: values after every step of an optimiser on given gradients, or the rates of a
// schedule, as JSON on standard output.
//
// CASE has `schedule` (shape, peak, steps, warmup, final_share, decay_share), or `optimizer` with `options`,
// `rates` (one a step), `scale` of the gradients, and `parameters`: path, shape, values and `gradients`, a
// list a step.

#include <cstdio>

#include "autograd/leaf.h"
#include "base/error.h"
#include "base/fields.h"
#include "nn/module.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace martlet {
namespace {

std::vector<float> floats_of(const Json& list) {
  std::vector<float> values;
  for (const Json& each : list.array()) values.push_back(static_cast<float>(each.real()));
  return values;
}

Shape shape_of(const Json& list) {
  const auto dim = [&](size_t i) { return list.array()[i].integer(); };
  return list.array().size() == 1 ? Shape{dim(0)} : Shape{dim(0), dim(1)};
}

/// Parameters without a layer.
class Values : public nn::Module {
 public:
  explicit Values(const Json& list) {
    for (const Json& each : list.array()) {
      const Shape shape = shape_of(each.at("shape"));
      held_.push_back(std::make_unique<nn::Parameter>(*this, each.at("path").string(), shape));
      held_.back()->set(Tensor::from(floats_of(each.at("values")), shape));
      held_.back()->require_gradient();
    }
  }

  std::string_view kind() const override { return "Values"; }

  std::vector<train::TrainedParameter> trained() const {
    std::vector<train::TrainedParameter> found;
    for (const auto& parameter : held_) {
      const bool matrix = parameter->shape().rank() == 2;
      found.push_back(
          {parameter->name(), parameter.get(), matrix, matrix && parameter->name().starts_with("layers.")});
    }
    return found;
  }

 private:
  std::vector<std::unique_ptr<nn::Parameter>> held_;
};

Json run_optimizer(const Json& request) {
  const Values values(request.at("parameters"));
  const Fields fields(request.at("options"), "options");
  const auto optimizer = train::make_optimizer(request.at("optimizer").string(), values.trained(),
                                               {.beta1 = fields.real("beta1"),
                                                .beta2 = fields.real("beta2"),
                                                .epsilon = fields.real("epsilon"),
                                                .weight_decay = fields.real("weight_decay")});
  const Json::Array& rates = request.at("rates").array();
  Json steps{Json::Array{}};
  for (size_t step = 0; step < rates.size(); ++step) {
    const std::vector<train::TrainedParameter> trained = values.trained();
    for (size_t i = 0; i < trained.size(); ++i) {
      const Json& gradients = request.at("parameters").array()[i].at("gradients");
      autograd::set_gradient(trained[i].parameter->tensor(),
                             Tensor::from(floats_of(gradients.array()[step]), trained[i].parameter->shape()));
    }
    optimizer->step(rates[step].real(), request.at("scale").real());
    Json after{Json::Array{}};
    for (const train::TrainedParameter& each : trained) {
      Json list{Json::Array{}};
      for (const float value : each.parameter->tensor().to_vector<float>()) list.push_back(double{value});
      after.push_back(std::move(list));
    }
    steps.push_back(std::move(after));
  }
  return steps;
}

Json rates_of(const Json& json) {
  const Fields fields(json, "schedule");
  const train::Schedule schedule{.shape = train::schedule_named(fields.text("shape")),
                                 .peak = fields.real("peak"),
                                 .steps = fields.integer("steps"),
                                 .warmup = fields.integer("warmup"),
                                 .final_share = fields.real("final_share"),
                                 .decay_share = fields.real("decay_share")};
  Json rates{Json::Array{}};
  for (int64_t step = 0; step < schedule.steps; ++step) rates.push_back(schedule.rate(step));
  return rates;
}

}  // namespace
}  // namespace martlet

int main(int argc, char** argv) {
  try {
    if (argc != 2) martlet::bad_input("usage: optimizers_driver CASE.json");
    const martlet::Json request = martlet::Json::parse_file(argv[1]);
    const martlet::Json* schedule = request.find("schedule");
    std::printf("%s\n", (schedule != nullptr ? martlet::rates_of(*schedule) : martlet::run_optimizer(request))
                            .dump()
                            .c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

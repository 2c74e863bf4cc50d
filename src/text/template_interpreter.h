#pragma once

// Runs a program: one walk over the statements, variables in the slots of activations.

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/template_iterate.h"
#include "text/template_runtime.h"
#include "text/template_syntax.h"

namespace martlet::text::jinja {

/// The variables of one call of a function. Macros hold the one they were made in.
class Activation final : public Object {
 public:
  Activation(Ref<Activation> outer, int slots)
      : outer_(std::move(outer)), slots_(static_cast<size_t>(slots)) {}

  Value& at(Slot slot) {
    Activation* activation = this;
    for (int i = 0; i < slot.hops; ++i) activation = activation->outer_.get();
    return activation->slots_[static_cast<size_t>(slot.index)];
  }
  Value& own(int index) { return slots_[static_cast<size_t>(index)]; }
  /// Kept to the rendering's end from now on, because something refers to it that it may refer to.
  void keep(Runtime& runtime);
  void empty() override;

 private:
  Ref<Activation> outer_;
  std::vector<Value> slots_;
  bool kept_ = false;
};

class Interpreter {
 public:
  /// `spans`: where the text of generation blocks stands is asked for.
  Interpreter(const TemplateProgram& program, Runtime& runtime,
              const std::unordered_map<std::string, Value>& variables, bool spans)
      : program_(program), runtime_(runtime), variables_(variables), spans_(spans) {}

  RenderedChat run();

  // For the objects that run parts of the program: macros, loops, their conditions.
  Runtime& runtime() { return runtime_; }
  std::string call_macro(const Statement& statement, const Ref<Activation>& outer, Arguments& arguments);
  /// The text of a recursive loop over `iterable`, `depth` levels down.
  std::string run_recursively(const Statement& statement, const Ref<Activation>& outer, const Value& iterable,
                              int depth);
  Value evaluate(const Expression& expression, Activation& activation);
  void enter(const ScopePlan& scope, Activation& activation);
  void assign(const Target& target, const Value& value, Activation& activation);
  Ref<Activation> activate(const Ref<Activation>& outer, int slots);

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class Capture;

  Flow execute(const Body& body, Activation& activation);
  Flow execute(const Statement& statement, Activation& activation);
  Flow execute_if(const Statement& statement, Activation& activation);
  Flow execute_for(const Statement& statement, Activation& activation);
  Flow execute_set_block(const Statement& statement, Activation& activation);
  Flow execute_filter_block(const Statement& statement, Activation& activation);
  Flow execute_with(const Statement& statement, Activation& activation);
  void execute_print(const Statement& statement, Activation& activation);
  void execute_call_block(const Statement& statement, Activation& activation);
  void execute_generation(const Statement& statement, Activation& activation);
  Flow walk(const Statement& statement, Activation& own, Activation& outer, const Value& iterable, int depth);
  static void leave(const ScopePlan& scope, Activation& activation);

  Value evaluate_name(const Expression& expression, Activation& activation);
  Value evaluate_list(const Expression& expression, Activation& activation);
  Value evaluate_dict(const Expression& expression, Activation& activation);
  Value evaluate_slice(const Expression& expression, Activation& activation);
  Value evaluate_compare(const Expression& expression, Activation& activation);
  Value evaluate_concatenation(const Expression& expression, Activation& activation);
  Value evaluate_conditional(const Expression& expression, Activation& activation);
  Value evaluate_call(const Expression& expression, Activation& activation, const Value* caller);
  Value evaluate_filter(const Expression& expression, Activation& activation);
  Value evaluate_test(const Expression& expression, Activation& activation);
  Value filtered(const Expression& filter, std::string text, Activation& activation);
  Arguments evaluate_arguments(const CallArguments& arguments, Activation& activation);

  void print(std::string_view text);
  void print_block(const Value& value);
  Value make_macro(const Statement& statement, Activation& activation);
  void bind_parameters(const Statement& statement, Activation& activation, Arguments& arguments);

  const TemplateProgram& program_;
  Runtime& runtime_;
  const std::unordered_map<std::string, Value>& variables_;
  bool spans_;
  bool generating_ = false;            // inside of a generation block
  std::string root_;                   // what is printed for good
  std::string* out_ = &root_;          // where printing goes now
  const Value* block_text_ = nullptr;  // the subject of a block's filter
  std::vector<TextSpan> generation_;
};

/// Printing goes to a text of its own while this lives.
class Interpreter::Capture {
 public:
  explicit Capture(Interpreter& interpreter) : interpreter_(interpreter), outside_(interpreter.out_) {
    interpreter_.out_ = &text_;
  }
  ~Capture() {
    interpreter_.out_ = outside_;
    interpreter_.runtime_.print(-static_cast<int64_t>(counted_ + text_.size()));
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  std::string take() {
    counted_ = text_.size();
    return std::exchange(text_, {});
  }

 private:
  Interpreter& interpreter_;
  std::string* outside_;
  std::string text_;
  size_t counted_ = 0;
};

}  // namespace martlet::text::jinja

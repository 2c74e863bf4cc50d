// Statements.

#include "text/template_interpreter.h"

#include <utility>

#include "text/template_globals.h"
#include "text/template_loop.h"
#include "text/template_macro.h"
#include "text/template_operations.h"

namespace martlet::text::jinja {
namespace {

// A loop that something still refers to when its walk ends, by an error too, may be part of a cycle: it is
// kept.
class LoopKeeper {
 public:
  /// `outer` is what a recursive loop refers to, else null.
  LoopKeeper(Runtime& runtime, const Ref<LoopObject>& loop, Activation* outer)
      : runtime_(runtime), loop_(loop), outer_(outer) {}
  ~LoopKeeper() {
    if (!loop_ || loop_.alone()) return;
    runtime_.keep(loop_);
    if (outer_ != nullptr) outer_->keep(runtime_);
  }
  LoopKeeper(const LoopKeeper&) = delete;
  LoopKeeper& operator=(const LoopKeeper&) = delete;

 private:
  Runtime& runtime_;
  const Ref<LoopObject>& loop_;
  Activation* outer_;
};

}  // namespace

void Activation::keep(Runtime& runtime) {
  if (std::exchange(kept_, true)) return;
  if (outer_) outer_->keep(runtime);
  runtime.keep(Ref<Object>(this));
}

void Activation::empty() {
  slots_.clear();
  outer_ = Ref<Activation>();
}

RenderedChat Interpreter::run() {
  const Ref<Activation> root = activate({}, program_.slots);
  enter(program_.scope, *root);
  execute(program_.body, *root);
  root->empty();
  return {std::move(root_), std::move(generation_)};
}

Ref<Activation> Interpreter::activate(const Ref<Activation>& outer, int slots) {
  Ref<Activation> activation(new Activation(outer, slots));
  runtime_.adopt(*activation, sizeof(Activation) + static_cast<size_t>(slots) * sizeof(Value), 0);
  return activation;
}

void Interpreter::enter(const ScopePlan& scope, Activation& activation) {
  for (const ScopeEntry& entry : scope) {
    Value& slot = activation.own(entry.slot);
    switch (entry.action) {
      case ScopeEntry::Action::kParameter:
        break;
      case ScopeEntry::Action::kUnset:
        slot = Value();
        break;
      case ScopeEntry::Action::kCopy:
        slot = activation.at(entry.source);
        break;
      case ScopeEntry::Action::kLookUp: {
        const auto at = variables_.find(entry.name);
        slot = at == variables_.end() ? Value() : at->second;
        break;
      }
    }
  }
}

void Interpreter::assign(const Target& target, const Value& value, Activation& activation) {
  switch (target.kind) {
    case Target::Kind::kName:
      activation.at(target.slot) = value;
      return;
    case Target::Kind::kAttribute: {
      NamespaceObject* object = activation.at(target.slot).as<NamespaceObject>();
      if (object == nullptr) bad_input("'{}' is no namespace: its attribute cannot be set", target.name);
      return object->set(runtime_, target.attribute, value);
    }
    case Target::Kind::kTuple:
      break;
  }
  const std::vector<Value> parts = collect(runtime_, value);
  if (parts.size() != target.parts.size()) {
    bad_input("{} values cannot be unpacked into {} names", parts.size(), target.parts.size());
  }
  for (size_t i = 0; i < parts.size(); ++i) assign(target.parts[i], parts[i], activation);
}

void Interpreter::leave(const ScopePlan& scope, Activation& activation) {
  for (const ScopeEntry& entry : scope) activation.own(entry.slot) = Value();
}

void Interpreter::print(std::string_view text) {
  runtime_.handle(text.size());
  runtime_.print(static_cast<int64_t>(text.size()));
  out_->append(text);
}

// jinja2 hands on what a filter or call block gives without making text of it, which then must be text.
void Interpreter::print_block(const Value& value) {
  if (!value.is_string()) bad_input("a filter or call block must give text, not {}", type_name(value));
  print(value.text());
}

Interpreter::Flow Interpreter::execute(const Body& body, Activation& activation) {
  const DepthGuard guard(runtime_);
  for (const Statement& statement : body) {
    const Flow flow = execute(statement, activation);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, Activation& activation) {
  runtime_.step();
  runtime_.at_line(statement.line);
  switch (statement.kind) {
    case StatementKind::kText:
      print(statement.text);
      break;
    case StatementKind::kPrint:
      execute_print(statement, activation);
      break;
    case StatementKind::kFor:
      return execute_for(statement, activation);
    case StatementKind::kIf:
      return execute_if(statement, activation);
    case StatementKind::kSet:
      assign(statement.targets[0], evaluate(*statement.expressions[0], activation), activation);
      break;
    case StatementKind::kSetBlock:
      return execute_set_block(statement, activation);
    case StatementKind::kMacro:
      assign(statement.targets[0], make_macro(statement, activation), activation);
      break;
    case StatementKind::kCallBlock:
      execute_call_block(statement, activation);
      break;
    case StatementKind::kFilterBlock:
      return execute_filter_block(statement, activation);
    case StatementKind::kWith:
      return execute_with(statement, activation);
    case StatementKind::kGeneration:
      execute_generation(statement, activation);
      break;
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

void Interpreter::execute_print(const Statement& statement, Activation& activation) {
  for (const ExpressionPtr& expression : statement.expressions) {
    const Value value = evaluate(*expression, activation);
    if (value.is_string()) {
      print(value.text());
    } else {
      print(text_of(runtime_, value));
    }
  }
}

Interpreter::Flow Interpreter::execute_if(const Statement& statement, Activation& activation) {
  for (size_t i = 0; i < statement.branches.size(); ++i) {
    if (truthy(runtime_, evaluate(*statement.expressions[i], activation)))
      return execute(statement.branches[i], activation);
  }
  return statement.otherwise.empty() ? Flow::kNext : execute(statement.otherwise, activation);
}

Interpreter::Flow Interpreter::execute_for(const Statement& statement, Activation& activation) {
  const Value iterable = evaluate(*statement.expressions[0], activation);
  if (!statement.loop->recursive) return walk(statement, activation, activation, iterable, 0);
  print(run_recursively(statement, Ref<Activation>(&activation), iterable, 0));
  return Flow::kNext;
}

std::string Interpreter::run_recursively(const Statement& statement, const Ref<Activation>& outer,
                                         const Value& iterable, int depth) {
  const DepthGuard guard(runtime_);
  const Ref<Activation> own = activate(outer, statement.loop->slots);
  Capture capture(*this);
  walk(statement, *own, *outer, iterable, depth);
  return capture.take();
}

Interpreter::Flow Interpreter::walk(const Statement& statement, Activation& own, Activation& outer,
                                    const Value& iterable, int depth) {
  const ForPlan& plan = *statement.loop;
  std::unique_ptr<Iterator> items = iterate(runtime_, iterable);
  Value measured = iterable;
  if (plan.condition != nullptr) {
    items = filter_loop(*this, statement, Ref<Activation>(&outer), std::move(items));
    measured = Value();  // a filtered loop does not know its length beforehand
  }
  Ref<LoopObject> loop;
  if (plan.loop_slot >= 0) {
    loop = Ref<LoopObject>(new LoopObject(measured, std::move(items), depth));
    runtime_.adopt(*loop, sizeof(LoopObject), measured.depth());
    if (plan.recursive) loop->make_recursive(*this, statement, Ref<Activation>(&outer));
  }
  const LoopKeeper keeper(runtime_, loop, plan.recursive ? &outer : nullptr);
  bool otherwise = true;
  Flow flow = Flow::kNext;
  Value item;
  while (loop ? loop->next(runtime_, item) : items->next(runtime_, item)) {
    if (loop) own.own(plan.loop_slot) = Value(ValueKind::kDynamic, loop);
    assign(statement.targets[0], item, own);
    enter(statement.scope, own);
    flow = execute(statement.branches[0], own);
    if (flow == Flow::kBreak) break;
    // As in jinja2, a turn that ends by `continue` does not keep the else from being printed; nor does
    // `break`.
    if (flow == Flow::kNext) otherwise = false;
    flow = Flow::kNext;
  }
  leave(statement.scope, own);
  if (!otherwise || statement.otherwise.empty()) return Flow::kNext;
  enter(statement.otherwise_scope, own);
  flow = execute(statement.otherwise, own);
  leave(statement.otherwise_scope, own);
  return flow;
}

Interpreter::Flow Interpreter::execute_set_block(const Statement& statement, Activation& activation) {
  enter(statement.scope, activation);
  std::string text;
  {
    Capture capture(*this);
    const Flow flow = execute(statement.branches[0], activation);
    if (flow != Flow::kNext) return flow;
    text = capture.take();
  }
  const Value value = statement.expressions.empty()
                          ? runtime_.text(std::move(text))
                          : filtered(*statement.expressions[0], std::move(text), activation);
  assign(statement.targets[0], value, activation);
  leave(statement.scope, activation);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute_filter_block(const Statement& statement, Activation& activation) {
  enter(statement.scope, activation);
  std::string text;
  {
    Capture capture(*this);
    const Flow flow = execute(statement.branches[0], activation);
    if (flow != Flow::kNext) return flow;
    text = capture.take();
  }
  print_block(filtered(*statement.expressions[0], std::move(text), activation));
  leave(statement.scope, activation);
  return Flow::kNext;
}

Value Interpreter::filtered(const Expression& filter, std::string text, Activation& activation) {
  const Value subject = runtime_.text(std::move(text));
  const Value* const outside = std::exchange(block_text_, &subject);
  const Value value = evaluate(filter, activation);
  block_text_ = outside;
  return value;
}

Interpreter::Flow Interpreter::execute_with(const Statement& statement, Activation& activation) {
  enter(statement.scope, activation);
  for (size_t i = 0; i < statement.targets.size(); ++i) {
    assign(statement.targets[i], evaluate(*statement.expressions[i], activation), activation);
  }
  const Flow flow = execute(statement.branches[0], activation);
  leave(statement.scope, activation);
  return flow;
}

void Interpreter::execute_call_block(const Statement& statement, Activation& activation) {
  const Value caller = make_macro(statement, activation);
  print_block(evaluate_call(*statement.expressions[0], activation, &caller));
}

void Interpreter::execute_generation(const Statement& statement, Activation& activation) {
  const bool outermost = !std::exchange(generating_, true);
  Arguments none;
  const std::string text = call_macro(statement, Ref<Activation>(&activation), none);
  if (outermost) {
    generating_ = false;
    if (out_ == &root_) {
      const auto begin = static_cast<int64_t>(root_.size());
      generation_.push_back({begin, begin + static_cast<int64_t>(text.size())});
    } else if (spans_) {
      bad_input(
          "a generation block inside of a macro or a captured block: where its text ends up is not known");
    }
  }
  print(text);
}

}  // namespace martlet::text::jinja

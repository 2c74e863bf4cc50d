// Expressions.

#include "text/template_attribute.h"
#include "text/template_interpreter.h"
#include "text/template_operations.h"

namespace martlet::text::jinja {

Value Interpreter::evaluate(const Expression& expression, Activation& activation) {
  runtime_.step();
  if (expression.kind == ExpressionKind::kConstant) return expression.constant;
  if (expression.kind == ExpressionKind::kName) return evaluate_name(expression, activation);
  const DepthGuard guard(runtime_);
  runtime_.at_line(expression.line);
  const auto part = [&](size_t i) { return evaluate(*expression.children[i], activation); };
  switch (expression.kind) {
    case ExpressionKind::kConstant:
    case ExpressionKind::kName:
      break;
    case ExpressionKind::kList:
    case ExpressionKind::kTuple:
      return evaluate_list(expression, activation);
    case ExpressionKind::kDict:
      return evaluate_dict(expression, activation);
    case ExpressionKind::kAttribute:
      return get_attribute(runtime_, part(0), expression.name);
    case ExpressionKind::kItem: {
      const Value value = part(0);
      return get_item(runtime_, value, part(1));
    }
    case ExpressionKind::kSlice:
      return evaluate_slice(expression, activation);
    case ExpressionKind::kCall:
      return evaluate_call(expression, activation, nullptr);
    case ExpressionKind::kFilter:
      return evaluate_filter(expression, activation);
    case ExpressionKind::kTest:
      return evaluate_test(expression, activation);
    case ExpressionKind::kNot:
      return Value::boolean(!truthy(runtime_, part(0)));
    case ExpressionKind::kNegate:
      return negate(runtime_, part(0));
    case ExpressionKind::kPlus:
      return plus(runtime_, part(0));
    case ExpressionKind::kArithmetic: {
      const Value left = part(0);
      return arithmetic(runtime_, expression.operations[0], left, part(1));
    }
    case ExpressionKind::kCompare:
      return evaluate_compare(expression, activation);
    case ExpressionKind::kAnd: {
      Value left = part(0);
      return truthy(runtime_, left) ? part(1) : left;
    }
    case ExpressionKind::kOr: {
      Value left = part(0);
      return truthy(runtime_, left) ? left : part(1);
    }
    case ExpressionKind::kConcatenate:
      return evaluate_concatenation(expression, activation);
    case ExpressionKind::kConditional:
      return evaluate_conditional(expression, activation);
  }
  return Value::none();
}

Value Interpreter::evaluate_name(const Expression& expression, Activation& activation) {
  const Value& value = activation.at(expression.slot);
  if (!value.is_missing()) return value;
  return runtime_.undefined(fmt::format("'{}' is undefined", expression.name));
}

Value Interpreter::evaluate_list(const Expression& expression, Activation& activation) {
  std::vector<Value> items;
  items.reserve(expression.children.size());
  for (const ExpressionPtr& child : expression.children) items.push_back(evaluate(*child, activation));
  return expression.kind == ExpressionKind::kList ? runtime_.list(std::move(items))
                                                  : runtime_.tuple(std::move(items));
}

Value Interpreter::evaluate_dict(const Expression& expression, Activation& activation) {
  Ref<DictObject> dict(new DictObject);
  for (size_t i = 0; i < expression.children.size(); i += 2) {
    const Value key = evaluate(*expression.children[i], activation);
    dict->insert(runtime_, key, evaluate(*expression.children[i + 1], activation));
  }
  return runtime_.dict(dict);
}

Value Interpreter::evaluate_slice(const Expression& expression, Activation& activation) {
  const auto part = [&](size_t i) {
    return expression.children[i] == nullptr ? Value() : evaluate(*expression.children[i], activation);
  };
  const Value value = part(0);
  const Value start = part(1);
  const Value stop = part(2);
  return get_slice(runtime_, value, start, stop, part(3));
}

Value Interpreter::evaluate_compare(const Expression& expression, Activation& activation) {
  Value left = evaluate(*expression.children[0], activation);
  for (size_t i = 0; i < expression.operations.size(); ++i) {
    Value right = evaluate(*expression.children[i + 1], activation);
    if (!compare(runtime_, expression.operations[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_concatenation(const Expression& expression, Activation& activation) {
  std::string text;
  for (const ExpressionPtr& child : expression.children) {
    print_text(runtime_, evaluate(*child, activation), text);
    runtime_.expect(1, static_cast<int64_t>(text.size()));
  }
  return runtime_.text(std::move(text));
}

Value Interpreter::evaluate_conditional(const Expression& expression, Activation& activation) {
  if (truthy(runtime_, evaluate(*expression.children[1], activation)))
    return evaluate(*expression.children[0], activation);
  if (expression.children[2] != nullptr) return evaluate(*expression.children[2], activation);
  return runtime_.undefined("an inline if evaluated to false and has no else");
}

Arguments Interpreter::evaluate_arguments(const CallArguments& arguments, Activation& activation) {
  Arguments values;
  values.positional.reserve(arguments.positional.size());
  for (const ExpressionPtr& argument : arguments.positional)
    values.positional.push_back(evaluate(*argument, activation));
  if (arguments.more_positional != nullptr) {
    for (Value& value : collect(runtime_, evaluate(*arguments.more_positional, activation))) {
      values.positional.push_back(std::move(value));
    }
  }
  const auto add = [&](const std::string& name, Value value) {
    for (const auto& [given, other] : values.keywords) {
      if (given == name) bad_input("the keyword argument '{}' is given twice", name);
    }
    values.keywords.emplace_back(name, std::move(value));
  };
  for (const auto& [name, argument] : arguments.keywords) add(name, evaluate(*argument, activation));
  if (arguments.more_keywords != nullptr) {
    const Value more = evaluate(*arguments.more_keywords, activation);
    if (!more.is_dict()) bad_input("the argument after ** must be a dict, not {}", type_name(more));
    for (const auto& [name, value] : more.dict().entries()) {
      if (!name.is_string()) bad_input("the keys of the dict after ** must be text");
      runtime_.step(static_cast<int64_t>(values.keywords.size()));
      add(name.text(), value);
    }
  }
  return values;
}

Value Interpreter::evaluate_call(const Expression& expression, Activation& activation, const Value* caller) {
  const Expression& callee = *expression.children[0];
  const auto arguments_of = [&] {
    Arguments arguments = evaluate_arguments(*expression.arguments, activation);
    if (caller != nullptr) arguments.keywords.emplace_back("caller", *caller);
    runtime_.at_line(expression.line);
    return arguments;
  };
  if (callee.kind == ExpressionKind::kAttribute) {
    // The common x.method(...), without making a bound method.
    const Value self = evaluate(*callee.children[0], activation);
    if (self.is_undefined()) use_of_undefined(self);
    Arguments arguments = arguments_of();
    if (std::optional<Value> result = call_method(runtime_, self, callee.name, arguments))
      return *std::move(result);
    return call_value(runtime_, get_attribute(runtime_, self, callee.name), arguments);
  }
  const Value function = evaluate(callee, activation);
  Arguments arguments = arguments_of();
  return call_value(runtime_, function, arguments);
}

Value Interpreter::evaluate_filter(const Expression& expression, Activation& activation) {
  const Value subject =
      expression.children[0] == nullptr ? *block_text_ : evaluate(*expression.children[0], activation);
  Arguments arguments = evaluate_arguments(*expression.arguments, activation);
  runtime_.at_line(expression.line);
  if (expression.function == nullptr) bad_input("there is no filter named '{}'", expression.name);
  return expression.function(runtime_, subject, arguments);
}

Value Interpreter::evaluate_test(const Expression& expression, Activation& activation) {
  const Value subject = evaluate(*expression.children[0], activation);
  Arguments arguments = evaluate_arguments(*expression.arguments, activation);
  runtime_.at_line(expression.line);
  if (expression.function == nullptr) bad_input("there is no test named '{}'", expression.name);
  return expression.function(runtime_, subject, arguments);
}

}  // namespace martlet::text::jinja

// Macros: their objects, and the binding of arguments to parameters.

#include "text/template_macro.h"

#include <algorithm>

#include "text/template_globals.h"
#include "text/template_operations.h"

namespace martlet::text::jinja {

Value MacroObject::call(Runtime& runtime, Arguments& arguments) {
  return runtime.text(interpreter_.call_macro(statement_, outer_, arguments));
}

std::optional<Value> MacroObject::attribute(Runtime& runtime, std::string_view name) {
  const MacroPlan& macro = *statement_.macro;
  if (name == "name") return macro.name.empty() ? Value::none() : runtime.text(macro.name);
  if (name == "arguments") {
    std::vector<Value> names;
    for (const std::string& parameter : macro.parameters) names.push_back(runtime.text(parameter));
    return runtime.tuple(std::move(names));
  }
  if (name == "catch_kwargs") return Value::boolean(macro.kwargs_slot >= 0);
  if (name == "catch_varargs") return Value::boolean(macro.varargs_slot >= 0);
  if (name == "caller") return Value::boolean(macro.caller_slot >= 0);
  if (name == "explicit_caller") return Value::boolean(macro.explicit_caller);
  return std::nullopt;
}

void MacroObject::print(Runtime&, std::string& out) {
  const std::string& name = statement_.macro->name;
  out += name.empty() ? "<Macro anonymous>" : fmt::format("<Macro '{}'>", name);
}

Value Interpreter::make_macro(const Statement& statement, Activation& activation) {
  activation.keep(runtime_);
  return runtime_.dynamic(Ref<MacroObject>(new MacroObject(*this, statement, Ref<Activation>(&activation))));
}

void Interpreter::bind_parameters(const Statement& statement, Activation& activation, Arguments& arguments) {
  const MacroPlan& macro = *statement.macro;
  const size_t count = macro.parameters.size();
  const size_t positional = std::min(count, arguments.positional.size());
  for (size_t i = 0; i < positional; ++i) activation.own(macro.parameter_slots[i]) = arguments.positional[i];
  for (size_t i = positional; i < count; ++i)
    activation.own(macro.parameter_slots[i]) = arguments.take(macro.parameters[i]);
  if (macro.caller_slot >= 0) {
    const Value caller = arguments.take("caller");
    const bool given = !caller.is_missing() && !caller.is_none();
    activation.own(macro.caller_slot) =
        given ? caller : runtime_.undefined("no caller is defined: the macro is not used by a call block");
  }
  if (macro.kwargs_slot >= 0) {
    Ref<DictObject> rest(new DictObject);
    for (const auto& [name, value] : arguments.keywords) rest->insert(runtime_, runtime_.text(name), value);
    activation.own(macro.kwargs_slot) = runtime_.dict(rest);
  } else if (!arguments.keywords.empty()) {
    bad_input("the macro '{}' takes no keyword argument '{}'", macro.name, arguments.keywords[0].first);
  }
  if (macro.varargs_slot >= 0) {
    const auto first = arguments.positional.begin() + static_cast<int64_t>(positional);
    activation.own(macro.varargs_slot) =
        runtime_.tuple(std::vector<Value>(first, arguments.positional.end()));
  } else if (arguments.positional.size() > count) {
    bad_input("the macro '{}' takes at most {} arguments, {} were given", macro.name, count,
              arguments.positional.size());
  }
}

std::string Interpreter::call_macro(const Statement& statement, const Ref<Activation>& outer,
                                    Arguments& arguments) {
  const DepthGuard guard(runtime_);
  const MacroPlan& macro = *statement.macro;
  const Ref<Activation> activation = activate(outer, macro.slots);
  bind_parameters(statement, *activation, arguments);
  Capture capture(*this);
  enter(macro.scope, *activation);
  const size_t without_default = macro.parameters.size() - macro.defaults.size();
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    if (!activation->own(macro.parameter_slots[i]).is_missing()) continue;
    // Evaluated at every call, in order: a default may speak of the parameters before it.
    const Value value =
        i >= without_default
            ? evaluate(*macro.defaults[i - without_default], *activation)
            : runtime_.undefined(fmt::format("parameter '{}' was not provided", macro.parameters[i]));
    activation->own(macro.parameter_slots[i]) = value;
  }
  execute(statement.branches[0], *activation);
  return capture.take();
}

}  // namespace martlet::text::jinja

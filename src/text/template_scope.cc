#include "text/template_scope.h"

#include <algorithm>

#include "base/error.h"
#include "text/template_filters.h"
#include "text/template_mentions.h"
#include "text/template_symbols.h"

namespace martlet::text::jinja {
namespace {

// Two passes over every scope: `note` collects its names without entering inner scopes, then `resolve` writes
// the slots and goes into the inner ones, which by then can see all of the outer one's names.
class ScopeResolver {
 public:
  void run(TemplateProgram& program) {
    FunctionScope root;
    Symbols symbols(root, nullptr);
    note(program.body, symbols);
    resolve(program.body, symbols, false);
    program.scope = symbols.plan();
    program.slots = root.slots;
  }

 private:
  // ---- what a scope's own code names

  static void note(const Body& body, Symbols& symbols) {
    for (const Statement& statement : body) note(statement, symbols);
  }

  static void note(const Statement& statement, Symbols& symbols) {
    switch (statement.kind) {
      case StatementKind::kIf:
        return note_if(statement, symbols);
      case StatementKind::kMacro:
        return symbols.store(statement.targets[0].name);
      case StatementKind::kSetBlock:
        return note(statement.targets[0], symbols, false);
      default:
        break;
    }
    for (const ExpressionPtr& expression : statement.expressions) note(expression.get(), symbols);
    if (statement.kind == StatementKind::kSet) note(statement.targets[0], symbols, false);
  }

  static void note_if(const Statement& statement, Symbols& symbols) {
    note(statement.expressions[0].get(), symbols);
    Symbols first = symbols.branch();
    note(statement.branches[0], first);
    Symbols rest = symbols.branch();
    for (size_t i = 1; i < statement.branches.size(); ++i) {
      note(statement.expressions[i].get(), rest);
      Symbols branch = rest.branch();
      note(statement.branches[i], branch);
      rest.merge({&branch});
    }
    Symbols otherwise = symbols.branch();
    note(statement.otherwise, otherwise);
    symbols.merge({&first, &rest, &otherwise});
  }

  static void note(const Target& target, Symbols& symbols, bool parameter) {
    switch (target.kind) {
      case Target::Kind::kName:
        return parameter ? symbols.declare_parameter(target.name) : symbols.store(target.name);
      case Target::Kind::kAttribute:
        return symbols.load(target.name);
      case Target::Kind::kTuple:
        for (const Target& part : target.parts) note(part, symbols, parameter);
    }
  }

  static void note(const Expression* expression, Symbols& symbols) {
    if (expression == nullptr) return;
    if (expression->kind == ExpressionKind::kName) symbols.load(expression->name);
    for_each_part(*expression, [&](const Expression& part) { note(&part, symbols); });
  }

  // ---- slots

  void resolve(Body& body, Symbols& symbols, bool soft) {
    for (Statement& statement : body) resolve(statement, symbols, soft);
  }

  void resolve(Statement& statement, Symbols& symbols, bool soft) {
    switch (statement.kind) {
      case StatementKind::kText:
      case StatementKind::kBreak:
      case StatementKind::kContinue:
        return;
      case StatementKind::kFor:
        return resolve_for(statement, symbols, soft);
      case StatementKind::kIf:
        return resolve_if(statement, symbols);
      case StatementKind::kMacro:
        resolve_target(statement.targets[0], symbols);
        return resolve_macro(statement, symbols);
      case StatementKind::kCallBlock:
      case StatementKind::kGeneration:
        resolve_all(statement.expressions, symbols, soft);
        return resolve_macro(statement, symbols);
      case StatementKind::kSetBlock:
        resolve_assigned(statement.targets[0], symbols);
        return resolve_block(statement, symbols);
      case StatementKind::kFilterBlock:
        return resolve_block(statement, symbols);
      case StatementKind::kWith:
        return resolve_with(statement, symbols, soft);
      case StatementKind::kSet:
        resolve_assigned(statement.targets[0], symbols);
        break;
      case StatementKind::kPrint:
        break;
    }
    resolve_all(statement.expressions, symbols, soft);
  }

  void resolve_if(Statement& statement, Symbols& symbols) {
    resolve_all(statement.expressions, symbols, true);
    for (Body& branch : statement.branches) resolve(branch, symbols, true);
    resolve(statement.otherwise, symbols, true);
  }

  void resolve_for(Statement& statement, Symbols& outer, bool soft) {
    ForPlan& loop = *statement.loop;
    resolve_all(statement.expressions, outer, soft);
    ++inside_loops_;
    FunctionScope own{&outer.function(), 0, {}};
    FunctionScope& function = loop.recursive ? own : outer.function();
    Symbols inner(function, &outer);
    const bool speaks_of_loop = loop.recursive || reads_first(statement.branches[0], "loop");
    if (speaks_of_loop) inner.declare_parameter("loop");
    note(statement.targets[0], inner, true);
    note(statement.branches[0], inner);
    if (speaks_of_loop) loop.loop_slot = inner.find("loop")->index;
    if (loop.condition != nullptr) resolve_condition(statement, outer);
    resolve_assigned(statement.targets[0], inner);
    resolve(statement.branches[0], inner, false);
    --inside_loops_;
    statement.scope = inner.plan();
    Symbols otherwise(function, &outer);
    note(statement.otherwise, otherwise);
    resolve(statement.otherwise, otherwise, false);
    statement.otherwise_scope = otherwise.plan();
    loop.slots = own.slots;
  }

  void resolve_condition(Statement& statement, Symbols& outer) {
    ForPlan& loop = *statement.loop;
    FunctionScope function{&outer.function(), 0, {}};
    Symbols symbols(function, &outer);
    note(statement.targets[0], symbols, true);
    note(loop.condition.get(), symbols);
    loop.condition_target = statement.targets[0];
    resolve_target(loop.condition_target, symbols);
    resolve(*loop.condition, symbols, false);
    loop.condition_scope = symbols.plan();
    loop.condition_slots = function.slots;
  }

  void resolve_macro(Statement& statement, Symbols& outer) {
    MacroPlan& macro = *statement.macro;
    Body& body = statement.branches[0];
    FunctionScope function{&outer.function(), 0, {}};
    Symbols symbols(function, &outer);
    for (const std::string& parameter : macro.parameters) symbols.declare_parameter(parameter);
    for (const ExpressionPtr& fallback : macro.defaults) note(fallback.get(), symbols);
    // The three names that a macro gets without asking, where its body reads them before setting them.
    const auto implied = [&](const std::string& name) {
      const bool given =
          std::find(macro.parameters.begin(), macro.parameters.end(), name) != macro.parameters.end();
      if (given || !reads_first(body, name)) return -1;
      symbols.declare_parameter(name);
      return symbols.find(name)->index;
    };
    check_caller(statement);
    macro.caller_slot = implied("caller");
    macro.kwargs_slot = implied("kwargs");
    macro.varargs_slot = implied("varargs");
    note(body, symbols);
    for (const std::string& parameter : macro.parameters)
      macro.parameter_slots.push_back(symbols.find(parameter)->index);
    for (const ExpressionPtr& fallback : macro.defaults) resolve(*fallback, symbols, false);
    resolve(body, symbols, false);
    macro.scope = symbols.plan();
    macro.slots = function.slots;
  }

  static void check_caller(Statement& statement) {
    MacroPlan& macro = *statement.macro;
    const auto at = std::find(macro.parameters.begin(), macro.parameters.end(), "caller");
    macro.explicit_caller = at != macro.parameters.end();
    const auto without_default = static_cast<int64_t>(macro.parameters.size() - macro.defaults.size());
    if (macro.explicit_caller && at - macro.parameters.begin() < without_default &&
        reads_first(statement.branches[0], "caller")) {
      bad_input("line {}: the parameter 'caller' of a macro must have a default", statement.line);
    }
  }

  void resolve_block(Statement& statement, Symbols& outer) {
    Symbols symbols(outer.function(), &outer);
    note(statement.branches[0], symbols);
    for (const ExpressionPtr& filter : statement.expressions) note(filter.get(), symbols);
    resolve(statement.branches[0], symbols, false);
    resolve_all(statement.expressions, symbols, false);
    statement.scope = symbols.plan();
  }

  void resolve_with(Statement& statement, Symbols& outer, bool soft) {
    resolve_all(statement.expressions, outer, soft);
    Symbols symbols(outer.function(), &outer);
    for (const Target& target : statement.targets) note(target, symbols, true);
    note(statement.branches[0], symbols);
    for (Target& target : statement.targets) resolve_target(target, symbols);
    resolve(statement.branches[0], symbols, false);
    statement.scope = symbols.plan();
  }

  void resolve_assigned(Target& target, Symbols& symbols) const {
    if (inside_loops_ > 0) refuse_loop(target);
    resolve_target(target, symbols);
  }

  static void refuse_loop(const Target& target) {
    if (target.kind == Target::Kind::kName && target.name == "loop") {
      bad_input("line {}: 'loop' cannot be assigned to inside of a for loop", target.line);
    }
    for (const Target& part : target.parts) refuse_loop(part);
  }

  static void resolve_target(Target& target, Symbols& symbols) {
    if (target.kind != Target::Kind::kTuple)
      target.slot = seen_from(&symbols.function(), *symbols.find(target.name));
    for (Target& part : target.parts) resolve_target(part, symbols);
  }

  void resolve_all(std::vector<ExpressionPtr>& expressions, Symbols& symbols, bool soft) {
    for (const ExpressionPtr& expression : expressions) resolve(*expression, symbols, soft);
  }

  void resolve(Expression& expression, Symbols& symbols, bool soft) {
    if (expression.kind == ExpressionKind::kName) {
      expression.slot = seen_from(&symbols.function(), *symbols.find(expression.name));
    }
    if (expression.kind == ExpressionKind::kFilter) {
      expression.function = find_filter(expression.name);
      if (!soft && expression.function == nullptr)
        bad_input("line {}: there is no filter named '{}'", expression.line, expression.name);
    }
    if (expression.kind == ExpressionKind::kTest) {
      expression.function = find_test(expression.name);
      if (!soft && expression.function == nullptr)
        bad_input("line {}: there is no test named '{}'", expression.line, expression.name);
    }
    const bool inner_soft = soft || expression.kind == ExpressionKind::kConditional;
    for_each_part(expression, [&](Expression& part) { resolve(part, symbols, inner_soft); });
  }

  int inside_loops_ = 0;
};

}  // namespace

void resolve_scopes(TemplateProgram& program) {
  ScopeResolver().run(program);
}

}  // namespace martlet::text::jinja

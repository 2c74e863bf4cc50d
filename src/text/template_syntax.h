#pragma once

// A parsed template: trees of expressions and statements, and where every variable lives. Names are resolved
// once, after parsing (template_scope.h): while a template runs, a variable is a slot of an activation, not a
// name.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/template_operations.h"
#include "text/template_value.h"

namespace martlet::text::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<Statement>;

/// A variable: slot `index` of the activation `hops` functions outwards.
struct Slot {
  int hops = 0;
  int index = -1;
};

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  ExpressionPtr more_positional;  ///< *expression
  ExpressionPtr more_keywords;    ///< **expression
};

enum class ExpressionKind : uint8_t {
  kConstant,     ///< `constant`
  kName,         ///< `name`, `slot`
  kList,         ///< the children are the items
  kTuple,        ///< the children are the items
  kDict,         ///< the children are key, value, key, value, ...
  kAttribute,    ///< children[0].name
  kItem,         ///< children[0][children[1]]
  kSlice,        ///< children[0][children[1]:children[2]:children[3]]; parts may be null
  kCall,         ///< children[0](arguments)
  kFilter,       ///< children[0] | name(arguments); the child is null for the body of a block
  kTest,         ///< children[0] is name(arguments)
  kNot,          ///< not children[0]
  kNegate,       ///< -children[0]
  kPlus,         ///< +children[0]
  kArithmetic,   ///< children[0] operations[0] children[1]
  kCompare,      ///< children[0] operations[0] children[1] operations[1] children[2] ...
  kAnd,          ///< children[0] and children[1]
  kOr,           ///< children[0] or children[1]
  kConcatenate,  ///< the children's texts, joined: ~
  kConditional   ///< children[0] if children[1] else children[2]; the last may be null
};

/// A filter or a test: its subject and its arguments.
using SubjectFunction = Value (*)(Runtime& runtime, const Value& subject, Arguments& arguments);

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  int line = 0;
  int depth = 1;  ///< nesting, bounded by the parser
  Value constant;
  std::string name;
  Slot slot;
  SubjectFunction function = nullptr;  ///< of a filter or a test; null when there is none of that name
  std::vector<Operator> operations;
  std::vector<ExpressionPtr> children;
  std::unique_ptr<CallArguments> arguments;
};

/// What an assignment or a loop binds: a name, an attribute of a namespace, or several of them.
struct Target {
  enum class Kind : uint8_t { kName, kAttribute, kTuple };
  Kind kind = Kind::kName;
  int line = 0;
  std::string name;
  std::string attribute;
  Slot slot;  ///< of the name, or of the namespace
  std::vector<Target> parts;
};

/// What happens to a scope's own variables when it is entered: nothing to parameters, which are set by then.
/// All are unset when it is left.
struct ScopeEntry {
  enum class Action : uint8_t { kParameter, kUnset, kLookUp, kCopy };
  int slot = 0;
  Action action = Action::kUnset;
  Slot source;       ///< kCopy: the outer variable that this one starts as
  std::string name;  ///< kLookUp: among the variables given and the globals
};
using ScopePlan = std::vector<ScopeEntry>;

/// A macro or the body of a call block: code with an activation of its own.
struct MacroPlan {
  std::string name;  ///< empty for a call block
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults;  ///< of the last parameters
  std::vector<int> parameter_slots;
  int caller_slot = -1;          ///< -1 where the body does not speak of `caller`
  int kwargs_slot = -1;          ///< or of `kwargs`
  int varargs_slot = -1;         ///< or of `varargs`
  bool explicit_caller = false;  ///< `caller` is among the parameters
  int slots = 0;
  ScopePlan scope;
};

enum class StatementKind : uint8_t {
  kText,         ///< prints `text`
  kPrint,        ///< prints the expressions
  kFor,          ///< expressions[0] is walked; `condition` filters; body, otherwise
  kIf,           ///< expressions[i] guards branches[i]; otherwise
  kSet,          ///< target = expressions[0]
  kSetBlock,     ///< target = the body's text, through expressions[0] where there is a filter
  kMacro,        ///< target = the macro
  kCallBlock,    ///< expressions[0] is a call, given the body as `caller`
  kFilterBlock,  ///< prints the body's text through expressions[0]
  kWith,         ///< targets[i] = expressions[i] for the body
  kGeneration,   ///< prints the body and records where
  kBreak,
  kContinue
};

struct ForPlan {
  ExpressionPtr condition;  ///< null without `if`
  bool recursive = false;
  int loop_slot = -1;       ///< of `loop`, -1 where the body does not speak of it
  int slots = 0;            ///< of the activation, where the loop has its own (recursive)
  int condition_slots = 0;  ///< of the activation of the condition, which is a function of its own
  Target condition_target;  ///< the target within that
  ScopePlan condition_scope;
};

struct Statement {
  Statement(StatementKind its_kind, int its_line, std::string its_text = {})
      : kind(its_kind), line(its_line), text(std::move(its_text)) {}

  StatementKind kind;
  int line;
  std::string text;
  std::vector<ExpressionPtr> expressions;
  std::vector<Target> targets;
  std::vector<Body> branches;  ///< the body, or the bodies of kIf
  Body otherwise;
  ScopePlan scope;            ///< of the body
  ScopePlan otherwise_scope;  ///< of kFor's else
  std::unique_ptr<MacroPlan> macro;
  std::unique_ptr<ForPlan> loop;
};

/// A whole template.
struct TemplateProgram {
  std::string name;
  std::string source;
  Body body;
  ScopePlan scope;
  int slots = 0;
  bool marks_generation = false;
};

/// Deepest nesting of expressions and blocks that is parsed; evaluation and destruction recurse as deep.
inline constexpr int kMaxSyntaxDepth = 200;

/// Throws BadInput with line and reason.
TemplateProgram parse_template(std::string_view source, std::string name);

}  // namespace martlet::text::jinja

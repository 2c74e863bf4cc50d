// Expressions, by rising precedence: if-else, or, and, not, comparisons, + -, ~, * / // %, **, unary signs,
// then subscripts, calls, filters and tests.

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/template_parser.h"

namespace martlet::text::jinja {
namespace {

struct Symbol {
  std::string_view text;
  Operator operation;
};
constexpr std::array<Symbol, 6> kComparisons = {{{"==", Operator::kEqual},
                                                 {"!=", Operator::kNotEqual},
                                                 {"<", Operator::kLess},
                                                 {"<=", Operator::kLessEqual},
                                                 {">", Operator::kGreater},
                                                 {">=", Operator::kGreaterEqual}}};
constexpr std::array<Symbol, 2> kSums = {{{"+", Operator::kAdd}, {"-", Operator::kSubtract}}};
constexpr std::array<Symbol, 4> kProducts = {{{"*", Operator::kMultiply},
                                              {"/", Operator::kDivide},
                                              {"//", Operator::kFloorDivide},
                                              {"%", Operator::kModulo}}};

template <size_t count>
const Symbol* find_symbol(const std::array<Symbol, count>& symbols, const Token& token) {
  if (token.kind != TokenKind::kOperator) return nullptr;
  const auto at =
      std::find_if(symbols.begin(), symbols.end(), [&](const Symbol& s) { return s.text == token.text; });
  return at == symbols.end() ? nullptr : &*at;
}

}  // namespace

ExpressionPtr Parser::node(ExpressionKind kind, int line, std::vector<ExpressionPtr> children) {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->line = line;
  expression->children = std::move(children);
  measure(*expression);
  return expression;
}

// Chains (a + b + c, a.b.c, a | f | g) nest without the parser recursing: their depth is bounded here.
void Parser::measure(Expression& expression) const {
  int deepest = 0;
  const auto look = [&](const ExpressionPtr& child) {
    if (child != nullptr) deepest = std::max(deepest, child->depth);
  };
  for (const ExpressionPtr& child : expression.children) look(child);
  if (expression.arguments != nullptr) {
    for (const ExpressionPtr& argument : expression.arguments->positional) look(argument);
    for (const auto& [name, argument] : expression.arguments->keywords) look(argument);
    look(expression.arguments->more_positional);
    look(expression.arguments->more_keywords);
  }
  expression.depth = deepest + 1;
  if (expression.depth > kMaxSyntaxDepth)
    fail_at(expression.line, "expressions are nested or chained too deep");
}

ExpressionPtr Parser::pair(ExpressionKind kind, int line, ExpressionPtr a, ExpressionPtr b) {
  std::vector<ExpressionPtr> children;
  children.push_back(std::move(a));
  children.push_back(std::move(b));
  return node(kind, line, std::move(children));
}

ExpressionPtr Parser::constant(int line, Value value) {
  ExpressionPtr expression = node(ExpressionKind::kConstant, line);
  expression->constant = std::move(value);
  return expression;
}

ExpressionPtr Parser::parse_tuple(bool with_condition, std::string_view end, bool parentheses) {
  const int line = current().line;
  const auto at_end = [&] {
    return at(TokenKind::kPrintEnd) || at(TokenKind::kBlockEnd) || at_operator(")") ||
           (!end.empty() && at_name(end));
  };
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_operator(",");
    if (at_end()) break;
    items.push_back(parse_expression(with_condition));
    if (!at_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items.front());
    if (!parentheses) fail(fmt::format("expected an expression, got '{}'", describe(current())));
  }
  return node(ExpressionKind::kTuple, line, std::move(items));
}

ExpressionPtr Parser::parse_expression(bool with_condition) {
  const Level level(*this);
  return with_condition ? parse_conditional() : parse_or();
}

ExpressionPtr Parser::parse_conditional() {
  const int line = current().line;
  ExpressionPtr value = parse_or();
  while (skip_name("if")) {
    std::vector<ExpressionPtr> parts;
    parts.push_back(std::move(value));
    parts.push_back(parse_or());
    parts.push_back(skip_name("else") ? parse_expression() : nullptr);
    value = node(ExpressionKind::kConditional, line, std::move(parts));
  }
  return value;
}

ExpressionPtr Parser::parse_or() {
  ExpressionPtr left = parse_and();
  while (at_name("or")) {
    const int line = advance().line;
    left = pair(ExpressionKind::kOr, line, std::move(left), parse_and());
  }
  return left;
}

ExpressionPtr Parser::parse_and() {
  ExpressionPtr left = parse_not();
  while (at_name("and")) {
    const int line = advance().line;
    left = pair(ExpressionKind::kAnd, line, std::move(left), parse_not());
  }
  return left;
}

ExpressionPtr Parser::parse_not() {
  if (!at_name("not")) return parse_compare();
  const Level level(*this);
  const int line = advance().line;
  std::vector<ExpressionPtr> operand;
  operand.push_back(parse_not());
  return node(ExpressionKind::kNot, line, std::move(operand));
}

ExpressionPtr Parser::parse_compare() {
  const int line = current().line;
  std::vector<ExpressionPtr> operands;
  std::vector<Operator> operations;
  operands.push_back(parse_sum());
  while (true) {
    if (const Symbol* symbol = find_symbol(kComparisons, current())) {
      advance();
      operations.push_back(symbol->operation);
    } else if (skip_name("in")) {
      operations.push_back(Operator::kIn);
    } else if (at_name("not") && following().kind == TokenKind::kName && following().text == "in") {
      advance();
      advance();
      operations.push_back(Operator::kNotIn);
    } else {
      break;
    }
    operands.push_back(parse_sum());
  }
  if (operations.empty()) return std::move(operands.front());
  ExpressionPtr result = node(ExpressionKind::kCompare, line, std::move(operands));
  result->operations = std::move(operations);
  return result;
}

ExpressionPtr Parser::parse_sum() {
  ExpressionPtr left = parse_concatenation();
  while (const Symbol* symbol = find_symbol(kSums, current())) {
    const int line = advance().line;
    left = pair(ExpressionKind::kArithmetic, line, std::move(left), parse_concatenation());
    left->operations = {symbol->operation};
  }
  return left;
}

ExpressionPtr Parser::parse_concatenation() {
  const int line = current().line;
  std::vector<ExpressionPtr> parts;
  parts.push_back(parse_product());
  while (skip_operator("~")) parts.push_back(parse_product());
  return parts.size() == 1 ? std::move(parts.front())
                           : node(ExpressionKind::kConcatenate, line, std::move(parts));
}

ExpressionPtr Parser::parse_product() {
  ExpressionPtr left = parse_power();
  while (const Symbol* symbol = find_symbol(kProducts, current())) {
    const int line = advance().line;
    left = pair(ExpressionKind::kArithmetic, line, std::move(left), parse_power());
    left->operations = {symbol->operation};
  }
  return left;
}

// Unlike Python's, jinja2's ** groups from the left and binds weaker than a sign.
ExpressionPtr Parser::parse_power() {
  ExpressionPtr left = parse_unary(true);
  while (at_operator("**")) {
    const int line = advance().line;
    left = pair(ExpressionKind::kArithmetic, line, std::move(left), parse_unary(true));
    left->operations = {Operator::kPower};
  }
  return left;
}

ExpressionPtr Parser::parse_unary(bool with_filter) {
  const Level level(*this);
  ExpressionPtr result;
  if (at_operator("-") || at_operator("+")) {
    const ExpressionKind kind = at_operator("-") ? ExpressionKind::kNegate : ExpressionKind::kPlus;
    const int line = advance().line;
    std::vector<ExpressionPtr> operand;
    operand.push_back(parse_unary(false));
    result = node(kind, line, std::move(operand));
  } else {
    result = parse_primary();
  }
  result = parse_postfix(std::move(result));
  return with_filter ? parse_filters_and_tests(std::move(result)) : std::move(result);
}

ExpressionPtr Parser::parse_primary() {
  const Token& token = current();
  const int line = token.line;
  switch (token.kind) {
    case TokenKind::kName:
      return parse_named();
    case TokenKind::kString: {
      std::string text;
      while (at(TokenKind::kString)) text += advance().text;  // neighbours join
      return constant(line, Value(ValueKind::kString, Ref<Object>(new StringObject(std::move(text), false))));
    }
    case TokenKind::kInteger:
      return constant(line, Value::integer(advance().integer));
    case TokenKind::kFloat:
      return constant(line, Value::real(advance().real));
    default:
      break;
  }
  if (skip_operator("(")) {
    ExpressionPtr inner = parse_tuple(true, {}, true);
    expect_operator(")");
    return inner;
  }
  if (at_operator("[")) return parse_list();
  if (at_operator("{")) return parse_dict();
  fail(fmt::format("unexpected '{}'", describe(token)));
}

ExpressionPtr Parser::parse_named() {
  const Token& token = advance();
  if (token.text == "true" || token.text == "True") return constant(token.line, Value::boolean(true));
  if (token.text == "false" || token.text == "False") return constant(token.line, Value::boolean(false));
  if (token.text == "none" || token.text == "None") return constant(token.line, Value::none());
  ExpressionPtr name = node(ExpressionKind::kName, token.line);
  name->name = token.text;
  return name;
}

ExpressionPtr Parser::parse_list() {
  const int line = advance().line;
  std::vector<ExpressionPtr> items;
  while (!at_operator("]")) {
    if (!items.empty()) expect_operator(",");
    if (at_operator("]")) break;
    items.push_back(parse_expression());
  }
  advance();
  return node(ExpressionKind::kList, line, std::move(items));
}

ExpressionPtr Parser::parse_dict() {
  const int line = advance().line;
  std::vector<ExpressionPtr> items;
  while (!at_operator("}")) {
    if (!items.empty()) expect_operator(",");
    if (at_operator("}")) break;
    items.push_back(parse_expression());
    expect_operator(":");
    items.push_back(parse_expression());
  }
  advance();
  return node(ExpressionKind::kDict, line, std::move(items));
}

}  // namespace martlet::text::jinja

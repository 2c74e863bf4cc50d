// What may follow a value: attributes, items and slices, calls, filters, tests.

#include "base/error.h"
#include "text/template_parser.h"

namespace martlet::text::jinja {

ExpressionPtr Parser::parse_postfix(ExpressionPtr value) {
  while (true) {
    if (at_operator(".") || at_operator("[")) {
      value = parse_subscript(std::move(value));
    } else if (at_operator("(")) {
      value = parse_call(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionPtr Parser::parse_filters_and_tests(ExpressionPtr value) {
  while (true) {
    if (skip_operator("|")) {
      value = parse_filter(std::move(value));
    } else if (at_name("is")) {
      value = parse_test(std::move(value));
    } else if (at_operator("(")) {
      value = parse_call(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionPtr Parser::parse_subscript(ExpressionPtr value) {
  const int line = current().line;
  if (skip_operator(".")) {
    if (at(TokenKind::kInteger)) {
      return pair(ExpressionKind::kItem, line, std::move(value),
                  constant(line, Value::integer(advance().integer)));
    }
    if (!at(TokenKind::kName)) fail("expected a name or a number after '.'");
    std::vector<ExpressionPtr> children;
    children.push_back(std::move(value));
    ExpressionPtr attribute = node(ExpressionKind::kAttribute, line, std::move(children));
    attribute->name = advance().text;
    return attribute;
  }
  advance();  // [
  std::vector<ExpressionPtr> keys;
  bool sliced = false;
  std::vector<ExpressionPtr> slice(3);
  while (!at_operator("]")) {
    if (!keys.empty() || sliced) expect_operator(",");
    if (sliced) fail("a slice cannot be one of several keys");
    if (!at_operator(":")) keys.push_back(parse_expression());
    if (!skip_operator(":")) continue;
    if (keys.size() > 1) fail("a slice cannot be one of several keys");
    sliced = true;
    if (!keys.empty()) slice[0] = std::move(keys.front());
    keys.clear();
    const auto part_follows = [&] { return !at_operator(":") && !at_operator("]") && !at_operator(","); };
    if (part_follows()) slice[1] = parse_expression();
    if (skip_operator(":") && part_follows()) slice[2] = parse_expression();
  }
  advance();
  if (sliced) {
    std::vector<ExpressionPtr> children;
    children.push_back(std::move(value));
    for (ExpressionPtr& part : slice) children.push_back(std::move(part));
    return node(ExpressionKind::kSlice, line, std::move(children));
  }
  ExpressionPtr key =
      keys.size() == 1 ? std::move(keys.front()) : node(ExpressionKind::kTuple, line, std::move(keys));
  return pair(ExpressionKind::kItem, line, std::move(value), std::move(key));
}

std::unique_ptr<CallArguments> Parser::parse_arguments() {
  const int line = current().line;
  expect_operator("(");
  auto arguments = std::make_unique<CallArguments>();
  const auto require = [&](bool holds) {
    if (!holds) fail_at(line, "arguments are in a wrong order");
  };
  for (bool first = true; !at_operator(")"); first = false) {
    if (!first) {
      expect_operator(",");
      if (at_operator(")")) break;
    }
    const bool no_more = arguments->more_positional == nullptr && arguments->more_keywords == nullptr;
    if (skip_operator("*")) {
      require(no_more);
      arguments->more_positional = parse_expression();
    } else if (skip_operator("**")) {
      require(arguments->more_keywords == nullptr);
      arguments->more_keywords = parse_expression();
    } else if (at(TokenKind::kName) && following().kind == TokenKind::kOperator && following().text == "=") {
      require(arguments->more_keywords == nullptr);
      const std::string name = advance().text;
      for (const auto& [given, value] : arguments->keywords) {
        if (given == name) fail(fmt::format("the keyword argument '{}' is given twice", name));
      }
      advance();
      arguments->keywords.emplace_back(name, parse_expression());
    } else {
      require(no_more && arguments->keywords.empty());
      arguments->positional.push_back(parse_expression());
    }
  }
  advance();
  return arguments;
}

ExpressionPtr Parser::parse_call(ExpressionPtr callee) {
  const int line = current().line;
  std::vector<ExpressionPtr> children;
  children.push_back(std::move(callee));
  ExpressionPtr call = node(ExpressionKind::kCall, line, std::move(children));
  call->arguments = parse_arguments();
  measure(*call);
  return call;
}

std::string Parser::parse_dotted_name() {
  std::string name = expect(TokenKind::kName, "a name").text;
  while (skip_operator(".")) name += "." + expect(TokenKind::kName, "a name").text;
  return name;
}

ExpressionPtr Parser::parse_filter(ExpressionPtr value) {
  const int line = current().line;
  std::vector<ExpressionPtr> children;
  children.push_back(std::move(value));
  ExpressionPtr filter = node(ExpressionKind::kFilter, line, std::move(children));
  filter->name = parse_dotted_name();
  filter->arguments = at_operator("(") ? parse_arguments() : std::make_unique<CallArguments>();
  measure(*filter);
  return filter;
}

// What starts an argument written without parentheses: `x is divisibleby 3`.
bool Parser::at_test_argument() const {
  switch (current().kind) {
    case TokenKind::kName:
      return !at_name("else") && !at_name("or") && !at_name("and");
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    default:
      return at_operator("(") || at_operator("[") || at_operator("{");
  }
}

ExpressionPtr Parser::parse_test(ExpressionPtr value) {
  const int line = advance().line;  // is
  const bool negated = skip_name("not");
  std::vector<ExpressionPtr> children;
  children.push_back(std::move(value));
  ExpressionPtr test = node(ExpressionKind::kTest, line, std::move(children));
  test->name = parse_dotted_name();
  test->arguments = std::make_unique<CallArguments>();
  if (at_operator("(")) {
    test->arguments = parse_arguments();
  } else if (at_test_argument()) {
    if (at_name("is")) fail("tests cannot be chained with 'is'");
    const Level level(*this);
    test->arguments->positional.push_back(parse_postfix(parse_primary()));
  }
  measure(*test);
  if (!negated) return test;
  std::vector<ExpressionPtr> operand;
  operand.push_back(std::move(test));
  return node(ExpressionKind::kNot, line, std::move(operand));
}

}  // namespace martlet::text::jinja

// Blocks: text, print tags and statements.

#include "text/template_parser.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/template_scope.h"

namespace martlet::text::jinja {
namespace {

// Tags of jinja2 that reach other templates or change how text is escaped: a chat template stands alone.
constexpr std::array<std::string_view, 6> kRefusedTags = {"include", "import", "from",
                                                          "extends", "block",  "autoescape"};

std::string joined(std::initializer_list<std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : " or ") + std::string(name);
  return text;
}

bool is_constant_name(std::string_view name) {
  return name == "true" || name == "True" || name == "false" || name == "False" || name == "none" ||
         name == "None";
}

}  // namespace

void Parser::fail_at(int line, std::string_view reason) const {
  bad_input("line {}: {}", line, reason);
}
void Parser::fail(std::string_view reason) const {
  fail_at(current().line, reason);
}

const Token& Parser::advance() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::at_operator(std::string_view symbol) const {
  return at(TokenKind::kOperator) && current().text == symbol;
}
bool Parser::at_name(std::string_view name) const {
  return at(TokenKind::kName) && current().text == name;
}

bool Parser::skip_operator(std::string_view symbol) {
  const bool found = at_operator(symbol);
  if (found) advance();
  return found;
}

bool Parser::skip_name(std::string_view name) {
  const bool found = at_name(name);
  if (found) advance();
  return found;
}

const Token& Parser::expect(TokenKind kind, std::string_view expected) {
  if (!at(kind)) fail(fmt::format("expected {}, got '{}'", expected, describe(current())));
  return advance();
}

void Parser::expect_operator(std::string_view symbol) {
  if (!skip_operator(symbol)) fail(fmt::format("expected '{}', got '{}'", symbol, describe(current())));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail(fmt::format("expected '{}', got '{}'", name, describe(current())));
}

Body Parser::parse() {
  return parse_bodies({});
}

// Everything up to a tag that begins with one of `ends`, which is left as the current token.
Body Parser::parse_bodies(Ends ends) {
  const Level level(*this);
  Body body;
  while (!at(TokenKind::kEnd)) {
    const Token& token = current();
    if (token.kind == TokenKind::kText) {
      Statement text(StatementKind::kText, token.line, advance().text);
      body.push_back(std::move(text));
    } else if (token.kind == TokenKind::kPrintBegin) {
      Statement print(StatementKind::kPrint, advance().line);
      print.expressions.push_back(parse_tuple(true, {}, false));
      expect(TokenKind::kPrintEnd, "'}}'");
      body.push_back(std::move(print));
    } else {
      expect(TokenKind::kBlockBegin, "a tag");
      if (at(TokenKind::kName) && std::find(ends.begin(), ends.end(), current().text) != ends.end())
        return body;
      parse_block_tag(body);
      expect(TokenKind::kBlockEnd, "'%}'");
    }
  }
  if (ends.size() > 0) fail(fmt::format("the template ends where {} was expected", joined(ends)));
  return body;
}

Body Parser::parse_body(Ends ends) {
  skip_operator(":");
  expect(TokenKind::kBlockEnd, "'%}'");
  return parse_bodies(ends);
}

void Parser::parse_block_tag(Body& body) {
  if (!at(TokenKind::kName)) fail("a tag's name was expected");
  const std::string& name = current().text;
  if (std::find(kRefusedTags.begin(), kRefusedTags.end(), name) != kRefusedTags.end()) {
    fail(fmt::format("the tag '{}' is not supported: a chat template stands alone", name));
  }
  body.push_back(parse_statement());
}

Statement Parser::parse_statement() {
  const std::string& name = current().text;
  if (name == "for") return parse_for();
  if (name == "if") return parse_if();
  if (name == "set") return parse_set();
  if (name == "macro") return parse_macro();
  if (name == "call") return parse_call_block();
  if (name == "filter") return parse_filter_block();
  if (name == "with") return parse_with();
  if (name == "print") return parse_print_tag();
  if (name == "generation") return parse_generation();
  if (name == "break") return parse_jump(StatementKind::kBreak);
  if (name == "continue") return parse_jump(StatementKind::kContinue);
  fail(fmt::format("unknown tag '{}'", name));
}

Target Parser::parse_single_target(bool with_attributes) {
  if (skip_operator("(")) {
    const Level level(*this);
    Target target = parse_target(with_attributes, {});
    expect_operator(")");
    return target;
  }
  const Token& token = expect(TokenKind::kName, "a name to assign to");
  if (is_constant_name(token.text))
    fail_at(token.line, fmt::format("'{}' cannot be assigned to", token.text));
  Target target;
  target.line = token.line;
  target.name = token.text;
  if (with_attributes && skip_operator(".")) {
    target.kind = Target::Kind::kAttribute;
    target.attribute = expect(TokenKind::kName, "a name").text;
  }
  return target;
}

Target Parser::parse_target(bool with_attributes, std::string_view end) {
  const int line = current().line;
  std::vector<Target> parts;
  bool is_tuple = false;
  const auto at_end = [&] {
    return at(TokenKind::kBlockEnd) || at_operator(")") || (!end.empty() && at_name(end));
  };
  while (true) {
    if (!parts.empty()) expect_operator(",");
    if (at_end()) break;
    parts.push_back(parse_single_target(with_attributes));
    if (!at_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && parts.size() == 1) return std::move(parts.front());
  if (parts.empty()) fail("a name to assign to was expected");
  Target target;
  target.kind = Target::Kind::kTuple;
  target.line = line;
  target.parts = std::move(parts);
  return target;
}

Statement Parser::parse_for() {
  Statement statement(StatementKind::kFor, advance().line);
  statement.loop = std::make_unique<ForPlan>();
  statement.targets.push_back(parse_target(false, "in"));
  expect_name("in");
  statement.expressions.push_back(parse_tuple(false, "recursive", false));
  if (skip_name("if")) statement.loop->condition = parse_expression();
  statement.loop->recursive = skip_name("recursive");
  ++loops_;
  statement.branches.push_back(parse_body({"endfor", "else"}));
  --loops_;
  if (advance().text == "else") {
    // A recursive loop's else is within the loop's own function, so a jump there has nothing to leave.
    const int outer = statement.loop->recursive ? std::exchange(loops_, 0) : loops_;
    statement.otherwise = parse_body({"endfor"});
    loops_ = outer;
    advance();
  }
  return statement;
}

Statement Parser::parse_if() {
  Statement statement(StatementKind::kIf, advance().line);
  while (true) {
    statement.expressions.push_back(parse_tuple(false, {}, false));
    statement.branches.push_back(parse_body({"elif", "else", "endif"}));
    const std::string& end = advance().text;
    if (end == "elif") continue;
    if (end == "else") {
      statement.otherwise = parse_body({"endif"});
      advance();
    }
    return statement;
  }
}

Statement Parser::parse_set() {
  Statement statement(StatementKind::kSet, advance().line);
  statement.targets.push_back(parse_target(true, {}));
  if (skip_operator("=")) {
    statement.expressions.push_back(parse_tuple(true, {}, false));
    return statement;
  }
  statement.kind = StatementKind::kSetBlock;
  ExpressionPtr filter;
  while (skip_operator("|")) filter = parse_filter(std::move(filter));
  if (filter != nullptr) statement.expressions.push_back(std::move(filter));
  statement.branches.push_back(parse_body({"endset"}));
  advance();
  return statement;
}

void Parser::parse_signature(MacroPlan& macro) {
  expect_operator("(");
  while (!at_operator(")")) {
    if (!macro.parameters.empty()) expect_operator(",");
    const std::string& name = expect(TokenKind::kName, "a parameter's name").text;
    if (is_constant_name(name)) fail(fmt::format("'{}' cannot be a parameter", name));
    if (std::find(macro.parameters.begin(), macro.parameters.end(), name) != macro.parameters.end()) {
      fail(fmt::format("the parameter '{}' is named twice", name));
    }
    if (skip_operator("=")) {
      macro.defaults.push_back(parse_expression());
    } else if (!macro.defaults.empty()) {
      fail("a parameter without a default follows one with a default");
    }
    macro.parameters.push_back(name);
  }
  advance();
}

Statement Parser::parse_macro() {
  Statement statement(StatementKind::kMacro, advance().line);
  statement.macro = std::make_unique<MacroPlan>();
  Target target = parse_single_target(false);
  if (target.kind != Target::Kind::kName) fail("a macro's name was expected");
  statement.macro->name = target.name;
  statement.targets.push_back(std::move(target));
  parse_signature(*statement.macro);
  const int outer = std::exchange(loops_, 0);
  statement.branches.push_back(parse_body({"endmacro"}));
  loops_ = outer;
  advance();
  return statement;
}

Statement Parser::parse_call_block() {
  Statement statement(StatementKind::kCallBlock, advance().line);
  statement.macro = std::make_unique<MacroPlan>();
  if (at_operator("(")) parse_signature(*statement.macro);
  statement.expressions.push_back(parse_expression());
  if (statement.expressions.front()->kind != ExpressionKind::kCall)
    fail_at(statement.line, "a call block wants a call");
  const int outer = std::exchange(loops_, 0);
  statement.branches.push_back(parse_body({"endcall"}));
  loops_ = outer;
  advance();
  return statement;
}

Statement Parser::parse_filter_block() {
  Statement statement(StatementKind::kFilterBlock, advance().line);
  ExpressionPtr filter = parse_filter(nullptr);
  while (skip_operator("|")) filter = parse_filter(std::move(filter));
  statement.expressions.push_back(std::move(filter));
  statement.branches.push_back(parse_body({"endfilter"}));
  advance();
  return statement;
}

Statement Parser::parse_with() {
  Statement statement(StatementKind::kWith, advance().line);
  while (!at(TokenKind::kBlockEnd) && !at_operator(":")) {
    if (!statement.targets.empty()) expect_operator(",");
    statement.targets.push_back(parse_single_target(false));
    expect_operator("=");
    statement.expressions.push_back(parse_expression());
  }
  statement.branches.push_back(parse_body({"endwith"}));
  advance();
  return statement;
}

Statement Parser::parse_print_tag() {
  Statement statement(StatementKind::kPrint, advance().line);
  while (!at(TokenKind::kBlockEnd)) {
    if (!statement.expressions.empty()) expect_operator(",");
    statement.expressions.push_back(parse_expression());
  }
  return statement;
}

// Hugging Face's extension is a call block in disguise: the body is a function of its own.
Statement Parser::parse_generation() {
  Statement statement(StatementKind::kGeneration, advance().line);
  statement.macro = std::make_unique<MacroPlan>();
  const int outer = std::exchange(loops_, 0);
  statement.branches.push_back(parse_body({"endgeneration"}));
  loops_ = outer;
  advance();
  marks_generation_ = true;
  return statement;
}

Statement Parser::parse_jump(StatementKind kind) {
  if (loops_ == 0) fail(fmt::format("'{}' stands outside of a loop", current().text));
  return Statement(kind, advance().line);
}

TemplateProgram parse_template(std::string_view source, std::string name) {
  TemplateProgram program;
  program.name = std::move(name);
  program.source = std::string(source);
  Parser parser(tokenize(source));
  program.body = parser.parse();
  program.marks_generation = parser.marks_generation();
  resolve_scopes(program);
  return program;
}

}  // namespace martlet::text::jinja

#pragma once

// Recursive descent over tokens, with jinja2's grammar.

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/template_lexer.h"
#include "text/template_syntax.h"

namespace martlet::text::jinja {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Body parse();
  bool marks_generation() const { return marks_generation_; }

 private:
  /// One level of nesting while it lives.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.level_ > kMaxSyntaxDepth) parser_.fail("expressions or blocks are nested too deep");
    }
    ~Level() { --parser_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
  };
  using Ends = std::initializer_list<std::string_view>;

  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& following() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& advance();
  bool at(TokenKind kind) const { return current().kind == kind; }
  bool at_operator(std::string_view symbol) const;
  bool at_name(std::string_view name) const;
  bool skip_operator(std::string_view symbol);
  bool skip_name(std::string_view name);
  const Token& expect(TokenKind kind, std::string_view expected);
  void expect_operator(std::string_view symbol);
  void expect_name(std::string_view name);
  [[noreturn]] void fail(std::string_view reason) const;
  [[noreturn]] void fail_at(int line, std::string_view reason) const;

  // Statements.
  Body parse_bodies(Ends ends);
  Body parse_body(Ends ends);
  void parse_block_tag(Body& body);
  Statement parse_statement();
  Statement parse_for();
  Statement parse_if();
  Statement parse_set();
  Statement parse_macro();
  Statement parse_call_block();
  Statement parse_filter_block();
  Statement parse_with();
  Statement parse_print_tag();
  Statement parse_generation();
  Statement parse_jump(StatementKind kind);
  void parse_signature(MacroPlan& macro);
  Target parse_target(bool with_attributes, std::string_view end);
  Target parse_single_target(bool with_attributes);

  // Expressions.
  ExpressionPtr parse_tuple(bool with_condition, std::string_view end, bool parentheses);
  ExpressionPtr parse_expression(bool with_condition = true);
  ExpressionPtr parse_conditional();
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concatenation();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filter);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_named();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr node);
  ExpressionPtr parse_filters_and_tests(ExpressionPtr node);
  ExpressionPtr parse_subscript(ExpressionPtr node);
  ExpressionPtr parse_call(ExpressionPtr node);
  ExpressionPtr parse_filter(ExpressionPtr node);
  ExpressionPtr parse_test(ExpressionPtr node);
  std::unique_ptr<CallArguments> parse_arguments();
  std::string parse_dotted_name();
  bool at_test_argument() const;

  ExpressionPtr node(ExpressionKind kind, int line, std::vector<ExpressionPtr> children = {});
  ExpressionPtr pair(ExpressionKind kind, int line, ExpressionPtr a, ExpressionPtr b);
  ExpressionPtr constant(int line, Value value);
  void measure(Expression& expression) const;

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int level_ = 0;
  int loops_ = 0;  // loops around this place, within the same function
  bool marks_generation_ = false;
};

}  // namespace martlet::text::jinja

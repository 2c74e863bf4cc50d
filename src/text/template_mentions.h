#pragma once

// Walking syntax trees.

#include <string_view>

#include "text/template_syntax.h"

namespace martlet::text::jinja {

/// Calls `visit` for every direct part of an expression that is there.
template <typename Node, typename Visit>
void for_each_part(Node& expression, Visit visit) {
  const auto offer = [&](const ExpressionPtr& part) {
    if (part != nullptr) visit(*part);
  };
  for (const ExpressionPtr& child : expression.children) offer(child);
  if (expression.arguments == nullptr) return;
  for (const ExpressionPtr& argument : expression.arguments->positional) offer(argument);
  for (const auto& [name, argument] : expression.arguments->keywords) offer(argument);
  offer(expression.arguments->more_positional);
  offer(expression.arguments->more_keywords);
}

/// True when the first thing that `body` (inner blocks, loops and macros included) does with `name` is to
/// read it.
bool reads_first(const Body& body, std::string_view name);

}  // namespace martlet::text::jinja

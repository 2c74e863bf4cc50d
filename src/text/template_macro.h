#pragma once

#include "text/template_interpreter.h"

namespace martlet::text::jinja {

/// A macro, or the body of a call block as its `caller`.
class MacroObject final : public DynamicObject {
 public:
  MacroObject(Interpreter& interpreter, const Statement& statement, Ref<Activation> outer)
      : interpreter_(interpreter), statement_(statement), outer_(std::move(outer)) {}

  std::string_view type_name() const override { return "Macro"; }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override;
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  void print(Runtime& runtime, std::string& out) override;

 private:
  Interpreter& interpreter_;
  const Statement& statement_;
  Ref<Activation> outer_;
};

}  // namespace martlet::text::jinja

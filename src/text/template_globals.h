#pragma once

// The functions every template may call, and the objects they make.

#include <string>
#include <string_view>
#include <unordered_map>

#include "text/template_value.h"

namespace martlet::text::jinja {

/// What `namespace(...)` gives: the one object a template may assign to.
class NamespaceObject final : public DynamicObject {
 public:
  explicit NamespaceObject(Ref<DictObject> values) : values_(std::move(values)) {}
  void set(Runtime& runtime, std::string_view name, Value value);

  std::string_view type_name() const override { return "Namespace"; }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  void print(Runtime& runtime, std::string& out) override;
  void empty() override { values_->clear(); }

 private:
  Ref<DictObject> values_;
};

/// Adds range, dict, namespace, cycler, joiner, raise_exception and strftime_now.
void add_globals(Runtime& runtime, std::unordered_map<std::string, Value>& variables);

}  // namespace martlet::text::jinja

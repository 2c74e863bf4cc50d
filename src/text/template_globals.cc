#include "text/template_globals.h"

#include <ctime>

#include "text/template_arguments.h"
#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"

namespace martlet::text::jinja {
namespace {

using Function = Value (*)(Runtime& runtime, Arguments& arguments);

class FunctionObject final : public DynamicObject {
 public:
  FunctionObject(std::string_view name, Function function) : name_(name), function_(function) {}
  std::string_view type_name() const override { return "function"; }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override { return function_(runtime, arguments); }
  void print(Runtime&, std::string& out) override { out += fmt::format("<function {}>", name_); }

 private:
  std::string_view name_;
  Function function_;
};

// A method of one of the objects below.
class ObjectMethod final : public DynamicObject {
 public:
  using Body = Value (*)(Runtime& runtime, DynamicObject& self);
  ObjectMethod(Ref<DynamicObject> self, Body body) : self_(std::move(self)), body_(body) {}
  std::string_view type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override {
    bind_arguments("method", arguments, {}, 0);
    return body_(runtime, *self_);
  }

 private:
  Ref<DynamicObject> self_;
  Body body_;
};

class CyclerObject final : public DynamicObject {
 public:
  explicit CyclerObject(Value items) : items_(std::move(items)) {}
  std::string_view type_name() const override { return "Cycler"; }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override {
    if (name == "items") return items_;
    if (name == "pos") return Value::integer(static_cast<int64_t>(at_));
    if (name == "current") return items_.items()[at_];
    if (name == "next")
      return method(runtime,
                    [](Runtime&, DynamicObject& self) { return static_cast<CyclerObject&>(self).next(); });
    if (name == "reset") {
      return method(runtime, [](Runtime&, DynamicObject& self) {
        static_cast<CyclerObject&>(self).at_ = 0;
        return Value::none();
      });
    }
    return std::nullopt;
  }

 private:
  Value next() {
    const Value item = items_.items()[at_];
    at_ = (at_ + 1) % items_.items().size();
    return item;
  }
  Value method(Runtime& runtime, ObjectMethod::Body body) {
    return runtime.dynamic(Ref<ObjectMethod>(new ObjectMethod(Ref<DynamicObject>(this), body)), depth());
  }

  Value items_;
  size_t at_ = 0;
};

class JoinerObject final : public DynamicObject {
 public:
  explicit JoinerObject(Value separator) : separator_(std::move(separator)) {}
  std::string_view type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  std::optional<Value> attribute(Runtime&, std::string_view name) override {
    if (name == "sep") return separator_;
    if (name == "used") return Value::boolean(used_);
    return std::nullopt;
  }
  Value call(Runtime& runtime, Arguments& arguments) override {
    bind_arguments("joiner", arguments, {}, 0);
    if (used_) return separator_;
    used_ = true;
    return runtime.text({});
  }

 private:
  Value separator_;
  bool used_ = false;
};

// dict(mapping or pairs, name=value, ...).
Ref<DictObject> dict_of(Runtime& runtime, std::string_view callee, const Arguments& arguments) {
  if (arguments.positional.size() > 1) bad_input("{}() takes one positional argument at most", callee);
  Ref<DictObject> dict(new DictObject);
  const auto insert = [&](const Value& key, const Value& value) {
    runtime.expect(static_cast<int64_t>(dict->entries().size()), 2 * sizeof(DictObject::Entry));
    dict->insert(runtime, key, value);
  };
  if (!arguments.positional.empty() && arguments.positional[0].is_dict()) {
    for (const auto& [key, value] : arguments.positional[0].dict().entries()) insert(key, value);
  } else if (!arguments.positional.empty()) {
    for (const Value& pair : collect(runtime, arguments.positional[0])) {
      const std::vector<Value> parts = collect(runtime, pair);
      if (parts.size() != 2) bad_input("{}() wants pairs, got {} parts", callee, parts.size());
      insert(parts[0], parts[1]);
    }
  }
  for (const auto& [name, value] : arguments.keywords) insert(runtime.text(name), value);
  return dict;
}

Value make_dict(Runtime& runtime, Arguments& arguments) {
  return runtime.dict(dict_of(runtime, "dict", arguments));
}

Value make_namespace(Runtime& runtime, Arguments& arguments) {
  const Ref<NamespaceObject> object(new NamespaceObject(dict_of(runtime, "namespace", arguments)));
  runtime.keep(object);
  // Its contents change, so they do not count for the depth; being kept, it is never destroyed from within
  // another.
  return runtime.dynamic(object);
}

Value range(Runtime& runtime, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("range", arguments, {"start", "stop", "step"}, 1, true);
  const int64_t first = integer_argument(bound[0], "range");
  if (bound[1].is_missing()) return make_range(runtime, 0, first, 1);
  const int64_t step = integer_argument(bound[2], "range", 1);
  if (step == 0) bad_input("range() wants a step that is not 0");
  return make_range(runtime, first, integer_argument(bound[1], "range"), step);
}

Value cycler(Runtime& runtime, Arguments& arguments) {
  if (!arguments.keywords.empty()) bad_input("cycler() takes no keyword arguments");
  if (arguments.positional.empty()) bad_input("cycler() wants at least one item");
  const Value items = runtime.tuple(arguments.positional);
  return runtime.dynamic(Ref<CyclerObject>(new CyclerObject(items)), items.depth());
}

Value joiner(Runtime& runtime, Arguments& arguments) {
  Value separator = bind_arguments("joiner", arguments, {"sep"}, 0)[0];
  if (separator.is_missing()) separator = runtime.text(", ");
  return runtime.dynamic(Ref<JoinerObject>(new JoinerObject(separator)), separator.depth());
}

Value raise_exception(Runtime& runtime, Arguments& arguments) {
  const Value message = bind_arguments("raise_exception", arguments, {"message"}, 1)[0];
  bad_input("the template refuses this conversation: {}", text_of(runtime, message));
}

// Python's datetime.now().strftime: the C library's, with a naive time's empty zone and its microseconds.
Value strftime_now(Runtime& runtime, Arguments& arguments) {
  const std::string& format =
      text_argument(bind_arguments("strftime_now", arguments, {"format"}, 1)[0], "strftime_now");
  constexpr size_t kMaxFormat = 4096;
  if (format.size() > kMaxFormat) bad_input("strftime_now() takes a format of at most {} bytes", kMaxFormat);
  std::string plain;
  for (size_t at = 0; at < format.size(); ++at) {
    const char next = format[at] == '%' && at + 1 < format.size() ? format[at + 1] : '\0';
    if (next == 'f') {
      plain += "000000";
    } else if (next != 'z' && next != 'Z') {
      plain += format[at];
      if (next == '\0') continue;
      plain += next;
    }
    if (next != '\0') ++at;
  }
  // A mark in front tells an empty result from one that does not fit.
  std::string out(64 * kMaxFormat, '\0');
  const std::tm now = runtime.now();
  const size_t size = std::strftime(out.data(), out.size(), ("." + plain).c_str(), &now);
  if (size == 0) bad_input("strftime_now() would print more than {} bytes", out.size());
  return runtime.text(out.substr(1, size - 1));
}

}  // namespace

void NamespaceObject::set(Runtime& runtime, std::string_view name, Value value) {
  const size_t before = values_->entries().size();
  values_->insert(runtime, runtime.text(std::string(name)), std::move(value));
  if (values_->entries().size() > before) runtime.charge(sizeof(DictObject::Entry));
}

std::optional<Value> NamespaceObject::attribute(Runtime&, std::string_view name) {
  const Value* found = values_->find(name);
  return found == nullptr ? std::nullopt : std::optional<Value>(*found);
}

void NamespaceObject::print(Runtime& runtime, std::string& out) {
  out += "<Namespace ";
  print_repr(runtime, Value(ValueKind::kDict, values_), out);
  out += '>';
}

void add_globals(Runtime& runtime, std::unordered_map<std::string, Value>& variables) {
  const auto add = [&](std::string_view name, Function function) {
    variables[std::string(name)] = runtime.dynamic(Ref<FunctionObject>(new FunctionObject(name, function)));
  };
  add("range", range);
  add("dict", make_dict);
  add("namespace", make_namespace);
  add("cycler", cycler);
  add("joiner", joiner);
  add("raise_exception", raise_exception);
  add("strftime_now", strftime_now);
}

}  // namespace martlet::text::jinja

#pragma once

// A model is a tree of named modules. A module has parameters and children, in order; every child stands in a
// slot that says what role may stand there, so that a rewrite can put another module of that role in its
// place and nothing else.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "nn/parameter.h"

namespace martlet::nn {

class Slot;

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// What it is, for people: "RmsNorm", "AffineLinear".
  virtual std::string_view kind() const = 0;
  /// The role it can fill: "Linear", "Norm", ... or empty.
  virtual std::string_view role() const { return {}; }
  /// What shapes and parameters do not tell: "eps 1e-05", "32 heads of 64, window 512"; may be empty.
  virtual std::string details() const { return {}; }

  std::span<Parameter* const> parameters() const { return parameters_; }
  std::span<Slot* const> children() const { return slots_; }

 private:
  friend class Parameter;
  friend class Slot;
  std::vector<Parameter*> parameters_;
  std::vector<Slot*> slots_;
};

using ModulePtr = std::shared_ptr<Module>;

/// The name of the slot in which a wrapper holds what it is wrapped around: paths go through it, so that a
/// wrapped module and its parameters keep theirs.
inline constexpr std::string_view kWrapped = "";

/// A named place for a child. Optional slots may be empty.
class Slot {
 public:
  Slot(Module& parent, std::string name) : name_(std::move(name)) { parent.slots_.push_back(this); }
  virtual ~Slot() = default;
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  const std::string& name() const { return name_; }
  bool is_wrapped() const { return name_ == kWrapped; }
  /// The role that may stand here.
  virtual std::string_view role() const = 0;
  /// The child, or null when empty.
  virtual ModulePtr module() const = 0;
  /// Throws, naming both roles, when `module` does not fill the role.
  virtual void replace(ModulePtr module) = 0;

 protected:
  [[noreturn]] void refuse(const Module& module) const;

 private:
  std::string name_;
};

/// A slot for modules of one role (an interface with a static `kRole`).
template <typename RoleInterface>
class Child final : public Slot {
 public:
  Child(Module& parent, std::string name, std::shared_ptr<RoleInterface> module = nullptr)
      : Slot(parent, std::move(name)), module_(std::move(module)) {}

  std::string_view role() const override { return RoleInterface::kRole; }
  ModulePtr module() const override { return module_; }
  void replace(ModulePtr module) override {
    auto typed = std::dynamic_pointer_cast<RoleInterface>(module);
    if (typed == nullptr) refuse(*module);
    module_ = std::move(typed);
  }
  void set(std::shared_ptr<RoleInterface> module) { module_ = std::move(module); }

  explicit operator bool() const { return module_ != nullptr; }
  RoleInterface* operator->() const { return module_.get(); }
  RoleInterface& operator*() const { return *module_; }
  const std::shared_ptr<RoleInterface>& get() const { return module_; }

 private:
  std::shared_ptr<RoleInterface> module_;
};

/// Children of one role named 0, 1, 2, ...
template <typename RoleInterface>
class ModuleList final : public Module {
 public:
  static constexpr std::string_view kRole = "";
  std::string_view kind() const override { return "ModuleList"; }
  void push_back(std::shared_ptr<RoleInterface> module) {
    children_.push_back(
        std::make_unique<Child<RoleInterface>>(*this, std::to_string(children_.size()), std::move(module)));
  }
  size_t size() const { return children_.size(); }
  RoleInterface& operator[](size_t index) const { return **children_[index]; }

 private:
  std::vector<std::unique_ptr<Child<RoleInterface>>> children_;
};

}  // namespace martlet::nn

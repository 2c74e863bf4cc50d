#include "nn/apply_rewrite.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/human.h"
#include "nn/tree_check.h"

namespace martlet::nn {
namespace {

std::string size_text(const TreeSize& size) {
  return fmt::format("{} parameters in {}", format_count(static_cast<double>(size.parameters)),
                     format_bytes(static_cast<uint64_t>(size.bytes)));
}

void check_order(const Rewrite& rewrite, const RewriteHistory& history) {
  for (const AppliedRewrite& before : history)
    for (const auto& [name, reason] : rewrite.refuses_after)
      if (!before.skipped && before.rewrite->name == name)
        bad_input("{} cannot follow {}: {}", rewrite.name, name, reason);
}

void run(const Rewrite& rewrite, const ModulePtr& root, const RewriteContext& context,
         AppliedRewrite& applied) {
  const auto start = std::chrono::steady_clock::now();
  const TreeSketch sketch(root);
  TreeEditor editor(root);
  try {
    rewrite.apply(editor, applied.arguments, context);
  } catch (Error& error) {
    throw error.within(rewrite.name);
  }
  try {
    sketch.check(root, editor.replaced());
  } catch (Error& error) {
    throw error.within(fmt::format("after {}", rewrite.name));
  }
  applied.changed = editor.changed();
  applied.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::string_view name_of(Exactness exactness) {
  constexpr std::string_view kNames[] = {"exact", "exact up to rounding", "approximate"};
  return kNames[static_cast<size_t>(exactness)];
}

const Rewrite& rewrite_named(RewriteCatalogue catalogue, std::string_view name) {
  std::vector<std::string> known;
  for (const Rewrite* rewrite : catalogue) {
    if (rewrite->name == name) return *rewrite;
    known.emplace_back(rewrite->name);
  }
  const auto nearest = nearest_name(name, known);
  bad_input("there is no rewrite '{}'{}; `martlet rewrites` lists them", name,
            nearest ? fmt::format(" (did you mean {}?)", *nearest) : "");
}

std::string AppliedRewrite::to_string() const {
  std::string text = fmt::format("{} {}: ", rewrite->name, arguments.to_string());
  if (skipped) return text + "skipped";
  text += fmt::format("{} module{}", changed.size(), changed.size() == 1 ? "" : "s");
  if (before.bytes == after.bytes && before.parameters == after.parameters) return text;
  return text + fmt::format(", {} to {}", size_text(before), size_text(after));
}

void apply_rewrite(const ModulePtr& root, const RewriteRequest& request, RewriteCatalogue catalogue,
                   RewriteHistory& history, const ApplyOptions& options) {
  const Rewrite& rewrite = rewrite_named(catalogue, request.name);
  AppliedRewrite applied{&rewrite, Arguments(rewrite.arguments, request.arguments, rewrite.name)};
  applied.before = measure(*root);
  if (std::find(options.skip.begin(), options.skip.end(), rewrite.name) != options.skip.end()) {
    applied.skipped = true;
  } else {
    check_order(rewrite, history);
    run(rewrite, root, {options.saved, options.forget, options.checksum, options.remake, options.make},
        applied);
  }
  applied.after = measure(*root);
  history.push_back(std::move(applied));
}

Json rewrite_reports(const ModulePtr& root, const RewriteHistory& history) {
  Json reports;
  for (const AppliedRewrite& applied : history) {
    if (applied.skipped || applied.rewrite->report == nullptr) continue;
    reports.set(applied.rewrite->name, applied.rewrite->report(root));
  }
  return reports;
}

}  // namespace martlet::nn

#include "ops/dry_run.h"

#include <algorithm>
#include <optional>

#include "base/sequential_scope.h"

namespace martlet::ops {
namespace {

thread_local DryRun* running = nullptr;
// Other threads would compute.
thread_local std::optional<SequentialScope> alone;

}  // namespace

DryRun::DryRun() {
  running = this;
  alone.emplace();
}

DryRun::~DryRun() {
  running = nullptr;
  alone.reset();
}

DryRun* DryRun::current() {
  return running;
}

CostRow& DryRun::row_of(std::string_view operation, std::string_view kind) {
  const auto same = [&](const CostRow& row) { return row.operation == operation && row.kind == kind; };
  const auto found = std::find_if(rows_.begin(), rows_.end(), same);
  if (found != rows_.end()) return *found;
  return rows_.emplace_back(CostRow{std::string(operation), std::string(kind), 0, {}});
}

void DryRun::add(std::string_view operation, const Cost& cost) {
  CostRow& row = row_of(operation, cost.kind);
  ++row.calls;
  row.cost.operations += cost.operations;
  row.cost.bytes_read += cost.bytes_read;
  row.cost.bytes_written += cost.bytes_written;
}

void DryRun::add_unknown(std::string_view operation) {
  CostRow& row = row_of(operation, "");
  ++row.calls;
  row.states = false;
}

std::vector<CostRow> DryRun::rows() const {
  std::vector<CostRow> all = rows_;
  const auto bytes = static_cast<double>(shapes_.bytes_written());
  if (bytes > 0) all.push_back({"copy", "", 1, {0, bytes, bytes}});
  return all;
}

}  // namespace martlet::ops

#include "base/database.h"

#include <cmath>
#include <limits>
#include <sqlite3.h>
#include <utility>

#include "base/error.h"

namespace martlet {
namespace {

/// The kind of a result code; the upper bytes say more of it.
int kind_of(int code) {
  return code & 0xFF;
}

}  // namespace

Database::Database(std::string path, Open open, double wait_seconds) : path_(std::move(path)) {
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (open == Open::kCreate ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path_.c_str(), &handle_, flags, nullptr);
  try {
    if (code != SQLITE_OK) raise(code);
    set_wait(wait_seconds);
    // The file is read here for the first time: what is no database is told now.
    run("PRAGMA foreign_keys=ON; PRAGMA synchronous=NORMAL;");
    const bool is_new = [&] {
      Statement mode(*this, "PRAGMA journal_mode");
      return mode.step() && mode.text(0) != "wal";
    }();
    // Two connections may want to at once: the one that is refused has what the other made.
    if (is_new) sqlite3_exec(handle_, "PRAGMA journal_mode=WAL", nullptr, nullptr, nullptr);
    version();
  } catch (...) {
    sqlite3_close_v2(handle_);
    throw;
  }
}

Database::~Database() {
  sqlite3_close_v2(handle_);
}

void Database::set_wait(double seconds) {
  sqlite3_busy_timeout(handle_, static_cast<int>(seconds * 1000));
}

void Database::run(std::string_view sql) {
  const int code = sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) raise(code);
}

int64_t Database::last_row() const {
  return sqlite3_last_insert_rowid(handle_);
}

bool Database::begin() {
  const int code = sqlite3_exec(handle_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr);
  if (kind_of(code) == SQLITE_BUSY) return false;
  if (code != SQLITE_OK) raise(code);
  return true;
}

void Database::commit() {
  run("COMMIT");
}

void Database::rollback() noexcept {
  sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

int64_t Database::version() {
  Statement statement(*this, "PRAGMA user_version");
  statement.step();
  return statement.integer(0);
}

void Database::set_version(int64_t version) {
  run(fmt::format("PRAGMA user_version={}", version));
}

void Database::raise(int code) const {
  const std::string reason = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  switch (kind_of(code)) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      bad_input("{}: damaged, or no SQLite database ({}); move it away, and a new one begins", path_, reason);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      failed("{}: another program holds it ({}); try again when that has ended", path_, reason);
    case SQLITE_FULL:
      fail(ErrorCode::kExhausted, "{}: cannot grow ({}); is the disk full?", path_, reason);
    default:
      failed("{}: {}", path_, reason);
  }
}

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
  const int code =
      sqlite3_prepare_v2(database.handle_, sql.data(), static_cast<int>(sql.size()), &handle_, nullptr);
  if (code != SQLITE_OK) database.raise(code);
}

Statement::~Statement() {
  sqlite3_finalize(handle_);
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), handle_(std::exchange(other.handle_, nullptr)) {}

void Statement::check(int code) const {
  if (code != SQLITE_OK) database_.raise(code);
}

Statement& Statement::bind(int parameter, int64_t value) {
  check(sqlite3_bind_int64(handle_, parameter, value));
  return *this;
}

Statement& Statement::bind(int parameter, double value) {
  if (!std::isfinite(value)) return bind_null(parameter);
  check(sqlite3_bind_double(handle_, parameter, value));
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view value) {
  // The destructor that says "copy it" is an integer cast to a pointer in the header; its macro is C.
  const auto copy = reinterpret_cast<sqlite3_destructor_type>(intptr_t{-1});
  check(sqlite3_bind_text64(handle_, parameter, value.data(), value.size(), copy, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_null(int parameter) {
  check(sqlite3_bind_null(handle_, parameter));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_.raise(code);
  return false;
}

void Statement::run() {
  const int code = sqlite3_step(handle_);
  sqlite3_reset(handle_);
  if (code != SQLITE_DONE && code != SQLITE_ROW) database_.raise(code);
}

void Statement::reset() {
  sqlite3_reset(handle_);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(handle_, column);
}

double Statement::real(int column) const {
  return is_null(column) ? std::numeric_limits<double>::quiet_NaN() : sqlite3_column_double(handle_, column);
}

std::string Statement::text(int column) const {
  const unsigned char* bytes = sqlite3_column_text(handle_, column);
  if (bytes == nullptr) return "";
  return {reinterpret_cast<const char*>(bytes), static_cast<size_t>(sqlite3_column_bytes(handle_, column))};
}

}  // namespace martlet

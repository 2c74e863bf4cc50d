#pragma once

// A SQLite database: prepared statements, transactions, and errors as one sentence with the file's name. The
// header of SQLite stays inside database.cc.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace martlet {

class Statement;

/// A connection, for one thread at a time; several processes may have the same file open. Every method throws
/// kBadInput when the file is damaged or no database, kExhausted when the disk is full, kFailed when another
/// connection held it too long or the file cannot be reached.
class Database {
 public:
  enum class Open : uint8_t { kExisting, kCreate };

  /// A new file is put into write-ahead mode, where readers and a writer don't wait for each other.
  /// `wait_seconds` is how long any call waits for another connection.
  Database(std::string path, Open open, double wait_seconds);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& path() const { return path_; }
  void set_wait(double seconds);
  /// Statements that have no parameters and give no rows.
  void run(std::string_view sql);
  /// The key of the row that was inserted last.
  int64_t last_row() const;
  /// Begins a transaction that may write; false when another connection held the database for the whole wait.
  bool begin();
  void commit();
  void rollback() noexcept;
  /// A number that the file keeps for its user; 0 in a new one.
  int64_t version();
  void set_version(int64_t version);

 private:
  friend class Statement;
  [[noreturn]] void raise(int code) const;

  std::string path_;
  sqlite3* handle_ = nullptr;
};

/// A prepared statement. Parameters count from 1, columns from 0. `database` must outlive it.
class Statement {
 public:
  Statement(Database& database, std::string_view sql);
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;

  Statement& bind(int parameter, int64_t value);
  /// A value that is not finite is stored as NULL.
  Statement& bind(int parameter, double value);
  Statement& bind(int parameter, std::string_view value);
  Statement& bind_null(int parameter);

  /// The next row; false when there is none.
  bool step();
  /// Runs it to its end, and makes it ready to be bound and run again.
  void run();
  void reset();

  bool is_null(int column) const;
  int64_t integer(int column) const;
  /// NaN for NULL.
  double real(int column) const;
  std::string text(int column) const;

 private:
  void check(int code) const;

  Database& database_;
  sqlite3_stmt* handle_ = nullptr;
};

}  // namespace martlet

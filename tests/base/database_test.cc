#include "base/database.h"

#include <cmath>
#include <gmock/gmock.h>

#include "base/expect_error.h"
#include "base/files.h"
#include "base/temporary_folder.h"

namespace martlet {
namespace {

using ::testing::HasSubstr;

TEST(Database, GivesBackWhatItWasGiven) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.db";
  using namespace std::string_literals;
  const std::string text = "quote ' and \0 zero, 中文"s;
  {
    Database database(path, Database::Open::kCreate, 1);
    database.run("CREATE TABLE t(i INTEGER, r REAL, s TEXT)");
    Statement insert(database, "INSERT INTO t VALUES(?,?,?)");
    insert.bind(1, INT64_MIN).bind(2, 0.1).bind(3, text).run();
    EXPECT_EQ(database.last_row(), 1);
    insert.bind(1, int64_t{2}).bind(2, NAN).bind_null(3).run();
    EXPECT_EQ(database.last_row(), 2);
  }
  Database database(path, Database::Open::kExisting, 1);
  Statement select(database, "SELECT * FROM t ORDER BY rowid");
  ASSERT_TRUE(select.step());
  EXPECT_EQ(select.integer(0), INT64_MIN);
  EXPECT_EQ(select.real(1), 0.1);
  EXPECT_EQ(select.text(2), text);
  ASSERT_TRUE(select.step());
  EXPECT_TRUE(std::isnan(select.real(1)));
  EXPECT_TRUE(select.is_null(2));
  EXPECT_EQ(select.text(2), "");
  EXPECT_FALSE(select.step());
}

TEST(Database, ATransactionIsWholeOrNotAtAll) {
  const TemporaryFolder folder;
  Database database(folder / "a.db", Database::Open::kCreate, 1);
  database.run("CREATE TABLE t(i INTEGER)");
  const auto count = [&] {
    Statement statement(database, "SELECT count(*) FROM t");
    statement.step();
    return statement.integer(0);
  };
  ASSERT_TRUE(database.begin());
  database.run("INSERT INTO t VALUES(1)");
  database.rollback();
  EXPECT_EQ(count(), 0);
  ASSERT_TRUE(database.begin());
  database.run("INSERT INTO t VALUES(1)");
  database.commit();
  EXPECT_EQ(count(), 1);
}

TEST(Database, OneWritesAtATimeAndReadersDoNotWait) {
  const TemporaryFolder folder;
  Database first(folder / "a.db", Database::Open::kCreate, 0.05);
  first.run("CREATE TABLE t(i INTEGER)");
  Database second(folder / "a.db", Database::Open::kExisting, 0.05);
  ASSERT_TRUE(first.begin());
  EXPECT_FALSE(second.begin());
  EXPECT_THAT(error_of(ErrorCode::kFailed, [&] { second.run("INSERT INTO t VALUES(1)"); }),
              HasSubstr("another program holds it"));
  Statement read(second, "SELECT count(*) FROM t");
  EXPECT_TRUE(read.step());
  first.commit();
}

TEST(Database, TellsWhatIsWrongWithTheFile) {
  const TemporaryFolder folder;
  EXPECT_THAT(
      error_of(ErrorCode::kFailed, [&] { Database(folder / "none.db", Database::Open::kExisting, 1); }),
      HasSubstr("none.db"));
  write_file(folder / "text.db", std::string(2000, 't'));
  EXPECT_THAT(bad_input_of([&] { Database(folder / "text.db", Database::Open::kCreate, 1); }),
              HasSubstr("damaged"));
  Database database(folder / "a.db", Database::Open::kCreate, 1);
  EXPECT_THAT(error_of(ErrorCode::kFailed, [&] { Statement(database, "SELECT * FROM nowhere"); }),
              HasSubstr("no such table"));
  database.set_version(7);
  EXPECT_EQ(database.version(), 7);
}

TEST(Database, AFileThatMayNotGrowIsExhausted) {
  const TemporaryFolder folder;
  Database database(folder / "a.db", Database::Open::kCreate, 1);
  database.run("CREATE TABLE t(s BLOB); PRAGMA max_page_count=20");
  EXPECT_THAT(
      error_of(ErrorCode::kExhausted, [&] { database.run("INSERT INTO t VALUES(zeroblob(1000000))"); }),
      HasSubstr("is the disk full?"));
}

}  // namespace
}  // namespace martlet

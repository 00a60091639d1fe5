// SQLite with owners and values instead of handles and codes. The only unit that names the library.
//
// An object belongs to one thread at a time. Errors are told apart by what to do about them:
//   Errc::full     the disk (or the page limit) is full: nothing was changed, later may succeed
//   Errc::busy     another connection holds the lock, or there was no memory: nothing was changed, later may succeed
//   Errc::invalid  a file cannot be opened or written (permissions): nothing was changed, trying again does not help
//   Errc::timeout  interrupt_when() said so: nothing was changed
//   Errc::storage  an I/O error: nothing later on this connection may be trusted to be durable
//   Errc::corrupt  the file is damaged, or holds what it cannot hold: the same
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "util/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace twinspool::sqlite {

class Statement {
 public:
  // Parameters count from 1, columns from 0. Text is not copied: it stays where it is until the statement is reset.
  Statement& bind(int parameter, std::string_view text);
  template <std::integral Number>
  Statement& bind(int parameter, Number number) {
    return bind_integer(parameter, static_cast<std::int64_t>(number));
  }

  Result<bool> step();  // true: a row is there; false: done, and reset
  Result<void> run();   // to its end, then reset
  void reset();

  std::int64_t integer(int column) const;
  std::string_view text(int column) const;  // until the next step or reset

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement& bind_integer(int parameter, std::int64_t number);
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Ends a query where its rows are no longer wanted: an open one would hold a snapshot and block the next WAL restart.
class ResetAtEnd {
 public:
  explicit ResetAtEnd(Statement& statement) : statement_(statement) {}
  ~ResetAtEnd() { statement_.reset(); }
  ResetAtEnd(ResetAtEnd&&) = delete;

 private:
  Statement& statement_;
};

class Database {
 public:
  enum class Mode : std::uint8_t { read_write, read_only };

  // Opens an existing file (an empty one becomes a database with the first write). A writing connection does not assume
  // that the medium keeps a block whose write is cut (psow=0), never checkpoints by itself, not even on close, and
  // leaves its WAL in place, so that readers of the group need no write access.
  static Result<Database> open(const std::string& path, Mode mode);

  Result<void> execute(const std::string& sql);
  Result<Statement> prepare(const std::string& sql);
  Result<std::int64_t> integer(const std::string& sql);  // first column of the first row; 0 where there is none
  Result<std::string> text(const std::string& sql);

  // Asked every few thousand steps of a statement, which ends with Errc::timeout once `stop` returns true.
  void interrupt_when(std::function<bool()> stop);

  Result<bool> powersafe_overwrite();  // as in force, not as asked for
  std::int64_t changes() const;        // of the last statement
  std::int64_t last_insert_rowid() const;

  // Copies what readers permit from the WAL into the file and syncs both; never waits for a reader.
  Result<void> checkpoint();
  // The same, and all of it, so that the next commit writes over the WAL from its start; never waits. False: a reader
  // is in the way.
  Result<bool> restart_wal();
  Result<bool> empty_wal();  // the same, and nothing stays in it
  // In the WAL after this connection's last commit. PRAGMA wal_autocheckpoint uses the same hook, so watch after it.
  std::uint32_t wal_pages() const;
  void watch_wal();

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  explicit Database(sqlite3* connection) : connection_(connection) {}
  Error error(std::string_view doing) const;
  Result<bool> begin_wal_anew(int mode);

  std::unique_ptr<sqlite3, Close> connection_;
  std::unique_ptr<std::function<bool()>> interrupt_;  // its own memory: SQLite holds the address
  std::unique_ptr<std::uint32_t> wal_pages_;          // its own memory: SQLite holds the address
};

// BEGIN IMMEDIATE … COMMIT; what is not committed when it goes is rolled back.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept : database_(other.database_) { other.database_ = nullptr; }

  Result<void> commit();  // durable once it has returned without an error; else rolled back

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace twinspool::sqlite

#include "spool/sqlite.h"

#include <sqlite3.h>

#include <cerrno>

namespace twinspool::sqlite {
namespace {

constexpr int kBusyTimeoutMs = 5000;

Errc code_of(sqlite3* connection) {
  const int extended = sqlite3_extended_errcode(connection);
  if (extended == SQLITE_IOERR_NOMEM) return Errc::busy;
  // The index of the WAL could not grow. It is no part of what is on disk: made anew from the WAL by whoever opens it.
  if (extended == SQLITE_IOERR_SHMSIZE) return Errc::full;
  switch (extended & 0xff) {
    case SQLITE_FULL:
      return Errc::full;
    case SQLITE_IOERR:
      // A quota is a full disk that SQLite does not know. Only for writes: a sync that failed is an I/O error, whatever
      // its errno, because the kernel has thrown the pages away.
      return extended == SQLITE_IOERR_WRITE && sqlite3_system_errno(connection) == EDQUOT ? Errc::full : Errc::storage;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
      return Errc::busy;
    case SQLITE_INTERRUPT:
      return Errc::timeout;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Errc::invalid;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:  // we break none: a sequence or a number that is there twice
    case SQLITE_MISMATCH:
    case SQLITE_ERROR:  // our statements are right, so the schema is not
      return Errc::corrupt;
    default:
      return Errc::storage;
  }
}

Error error_of(sqlite3* connection, std::string_view doing) {
  std::string what = std::string(doing) + ": " + sqlite3_errmsg(connection);
  const int extended = sqlite3_extended_errcode(connection);
  what += " (SQLite code " + std::to_string(extended);
  if (const int number = sqlite3_system_errno(connection); (extended & 0xff) == SQLITE_IOERR && number != 0)
    what += ", errno " + std::to_string(number);
  what += ")";
  return Error{code_of(connection), std::move(what)};
}

std::string uri_of(const std::string& path, std::string_view parameters) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%')
      uri += "%25";
    else if (c == '?')
      uri += "%3f";
    else if (c == '#')
      uri += "%23";
    else
      uri += c;
  }
  return uri.append("?").append(parameters);
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::bind_integer(int parameter, std::int64_t number) {
  ENSURE(sqlite3_bind_int64(statement_.get(), parameter, number) == SQLITE_OK);
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  // A null pointer would bind NULL, so an absent text points somewhere.
  const char* bytes = text.data() != nullptr ? text.data() : "";
  ENSURE(sqlite3_bind_text64(statement_.get(), parameter, bytes, text.size(), nullptr, SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

Result<bool> Statement::step() {
  const int status = sqlite3_step(statement_.get());
  if (status == SQLITE_ROW) return true;
  if (status == SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    return false;
  }
  Error error = error_of(sqlite3_db_handle(statement_.get()), sqlite3_sql(statement_.get()));
  sqlite3_reset(statement_.get());
  return tl::unexpected(std::move(error));
}

Result<void> Statement::run() {
  for (;;) {
    const Result<bool> row = step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return {};
  }
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string_view Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

void Database::Close::operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }

Error Database::error(std::string_view doing) const { return error_of(connection_.get(), doing); }

Result<Database> Database::open(const std::string& path, Mode mode) {
  // Nobody asks how much memory it has; counting takes a lock for every piece.
  [[maybe_unused]] static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  const bool writes = mode == Mode::read_write;
  const std::string uri = uri_of(path, writes ? "mode=rw&psow=0" : "mode=ro");
  const int flags = SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
  sqlite3* connection = nullptr;
  const int status = sqlite3_open_v2(uri.c_str(), &connection, flags, nullptr);
  Database database(connection);
  if (connection == nullptr) return fail(Errc::busy, "no memory to open " + path);
  if (status != SQLITE_OK) return tl::unexpected(database.error("cannot open " + path));
  // SQLite reads what it may not write, and says so at the first write, which may be hours away.
  if (writes && sqlite3_db_readonly(connection, "main") == 1)
    return fail(Errc::invalid, path +
                                   " cannot be written: look at its owner, mode and attributes, and at how its file "
                                   "system is mounted");

  sqlite3_busy_timeout(connection, kBusyTimeoutMs);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (writes) {
    int persist = 1;
    sqlite3_file_control(connection, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  }
  database.wal_pages_ = std::make_unique<std::uint32_t>(0);
  return database;
}

Result<void> Database::execute(const std::string& sql) {
  if (sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return tl::unexpected(error(std::string_view(sql).substr(0, 60)));
  return {};
}

Result<Statement> Database::prepare(const std::string& sql) {
  sqlite3_stmt* prepared = nullptr;
  const int status = sqlite3_prepare_v3(connection_.get(), sql.c_str(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  if (status != SQLITE_OK) return tl::unexpected(error(sql));
  Statement statement;
  statement.statement_.reset(prepared);
  return statement;
}

Result<std::int64_t> Database::integer(const std::string& sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  const Result<bool> row = statement->step();
  if (!row) return tl::unexpected(row.error());
  return *row ? statement->integer(0) : 0;
}

Result<std::string> Database::text(const std::string& sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  const Result<bool> row = statement->step();
  if (!row) return tl::unexpected(row.error());
  return *row ? std::string(statement->text(0)) : std::string();
}

Result<bool> Database::powersafe_overwrite() {
  int in_force = -1;  // asks
  if (sqlite3_file_control(connection_.get(), "main", SQLITE_FCNTL_POWERSAFE_OVERWRITE, &in_force) != SQLITE_OK)
    return fail(Errc::storage, "the file layer does not tell whether it relies on powersafe overwrite");
  return in_force != 0;
}

void Database::interrupt_when(std::function<bool()> stop) {
  constexpr int kStepsBetween = 10'000;
  interrupt_ = std::make_unique<std::function<bool()>>(std::move(stop));
  sqlite3_progress_handler(
      connection_.get(), kStepsBetween,
      [](void* asked) { return (*static_cast<std::function<bool()>*>(asked))() ? 1 : 0; }, interrupt_.get());
}

std::int64_t Database::changes() const { return sqlite3_changes64(connection_.get()); }

std::int64_t Database::last_insert_rowid() const { return sqlite3_last_insert_rowid(connection_.get()); }

Result<void> Database::checkpoint() {
  const int status = sqlite3_wal_checkpoint_v2(connection_.get(), "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (status != SQLITE_OK) return tl::unexpected(error("checkpoint"));
  return {};
}

Result<bool> Database::restart_wal() { return begin_wal_anew(SQLITE_CHECKPOINT_RESTART); }

Result<bool> Database::empty_wal() { return begin_wal_anew(SQLITE_CHECKPOINT_TRUNCATE); }

Result<bool> Database::begin_wal_anew(int mode) {
  sqlite3_busy_timeout(connection_.get(), 0);
  const int status = sqlite3_wal_checkpoint_v2(connection_.get(), "main", mode, nullptr, nullptr);
  const Error failed = error("checkpoint");
  sqlite3_busy_timeout(connection_.get(), kBusyTimeoutMs);
  if ((status & 0xff) == SQLITE_BUSY) return false;
  if (status != SQLITE_OK) return tl::unexpected(failed);
  *wal_pages_ = 0;
  return true;
}

void Database::watch_wal() {
  sqlite3_wal_hook(
      connection_.get(),
      [](void* pages, sqlite3*, const char*, int in_wal) {
        *static_cast<std::uint32_t*>(pages) = static_cast<std::uint32_t>(in_wal);
        return SQLITE_OK;
      },
      wal_pages_.get());
}

std::uint32_t Database::wal_pages() const { return *wal_pages_; }

Result<Transaction> Transaction::begin(Database& database) {
  if (Result<void> begun = database.execute("BEGIN IMMEDIATE"); !begun) return tl::unexpected(begun.error());
  return Transaction(database);
}

Transaction::~Transaction() {
  // Fails only where an error has rolled back already.
  if (database_ != nullptr) (void)database_->execute("ROLLBACK");
}

Result<void> Transaction::commit() {
  Result<void> committed = database_->execute("COMMIT");
  if (committed) database_ = nullptr;
  return committed;
}

}  // namespace twinspool::sqlite

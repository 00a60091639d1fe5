#include "spool/integrity.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "spool/figures.h"
#include "spool/files.h"
#include "spool/page_file.h"
#include "spool/schema.h"
#include "spool/table_reader.h"

namespace twinspool {
namespace {

constexpr std::size_t kRowsPerSlice = 4096;
constexpr std::size_t kBytesPerSlice = 4 << 20;

bool is_locked(const StoreFiles& files) {
  const int lock = ::open(files.lock.c_str(), O_RDONLY | O_CLOEXEC);
  if (lock < 0) return false;
  const bool held = ::flock(lock, LOCK_SH | LOCK_NB) != 0;
  ::close(lock);
  return held;
}

ino_t inode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

class Check {
 public:
  Check(const StoreFiles& files, const IntegrityProgress& progress) : files_(files), progress_(progress) {
    report.database = files.database;
    report.in_use = is_locked(files);
  }

  Result<void> run(bool deep) {
    report.deep = deep;
    if (Result<void> looked = files_and_header(); !looked) return looked;
    if (!report.findings.empty()) return {};
    auto database = sqlite::Database::open(files_.database, sqlite::Database::Mode::read_only);
    if (!database) return tl::unexpected(database.error());
    Result<void> checked = quick(*database);
    if (checked && deep && !newer_) checked = thorough(*database);
    if (!checked && checked.error().code == Errc::corrupt) {
      find(checked.error().what);
      return {};
    }
    return checked;
  }

  IntegrityReport report;

 private:
  void find(std::string what) {
    if (report.findings.size() < kFindingsMax)
      report.findings.push_back(std::move(what));
    else
      ++report.findings_more;
  }

  Result<void> files_and_header() {
    const Result<FileState> state = inspect(files_);
    if (!state) return tl::unexpected(state.error());
    switch (*state) {
      case FileState::absent:
        return fail(Errc::invalid, "there is no file " + files_.database);
      case FileState::empty:
        find("the file is empty");
        break;
      case FileState::no_header:
        find("the header is damaged, or this is no database of twinspool");
        break;
      case FileState::foreign:
        find("the header names another program");
        break;
      case FileState::ours:
        break;
    }
    if (report.in_use) return {};  // its WAL changes as we read
    const Result<PageFile> pages = PageFile::open(files_.database, files_.wal);
    if (!pages) return tl::unexpected(pages.error());
    if (pages->wal().lost_commits)
      find("the WAL is damaged before its end (" + std::to_string(pages->wal().damaged) +
           " frames): SQLite would drop what follows");
    return {};
  }

  Result<std::int64_t> number(sqlite::Database& database, const std::string& query) { return database.integer(query); }

  Result<void> quick(sqlite::Database& database) {
    const auto known = static_cast<std::int64_t>(migrations().size());
    const Result<std::int64_t> version = database.integer("PRAGMA user_version");
    if (!version) return tl::unexpected(version.error());
    newer_ = *version > known;
    if (newer_) {
      find("the schema is " + std::to_string(*version) + " and this twinspool knows up to " + std::to_string(known) +
           ": a newer version wrote it");
      return {};
    }
    const Result<bool> same = has_our_tables(database, static_cast<std::size_t>(std::max<std::int64_t>(*version, 0)));
    if (!same) return tl::unexpected(same.error());
    if (!*same) find("the schema is not that of twinspool: somebody changed it, or it is damaged");
    const Result<std::int64_t> vacuum = database.integer("PRAGMA auto_vacuum");
    if (!vacuum) return tl::unexpected(vacuum.error());
    if (*vacuum != 2) find("auto_vacuum is " + std::to_string(*vacuum) + ", and 2 in a sound file");
    return figures(database);
  }

  // Of one moment: in one transaction.
  Result<void> figures(sqlite::Database& database) {
    if (Result<void> begun = database.execute("BEGIN"); !begun) return begun;
    std::map<std::string, std::int64_t> found;
    for (const auto& [name, query] :
         {std::pair{"rows", "SELECT count(*) FROM figures"}, std::pair{"stores", "SELECT count(*) FROM store"},
          std::pair{"queued", "SELECT queued_messages FROM summary"},
          std::pair{"quarantined", "SELECT quarantine_messages FROM figures"},
          std::pair{"missing", "SELECT accepted - queued_messages - delivered - quarantined - dropped FROM figures"},
          std::pair{"next", "SELECT newest_sequence + 1 FROM summary"},
          std::pair{"lag", "SELECT newest_sequence + 1 - next_sequence FROM summary, figures"},
          std::pair{"newest", "SELECT max(sequence) FROM messages"},
          std::pair{"oldest", "SELECT min(sequence) FROM messages"}}) {
      const Result<std::int64_t> value = database.integer(query);
      if (!value) return tl::unexpected(value.error());
      found[name] = *value;
    }
    if (Result<void> ended = database.execute("COMMIT"); !ended) return ended;
    report.queued = static_cast<std::uint64_t>(std::max<std::int64_t>(found["queued"], 0));
    report.quarantined = static_cast<std::uint64_t>(std::max<std::int64_t>(found["quarantined"], 0));
    if (found["rows"] != 1 || found["stores"] != 1) find("the tables figures and store must have one row each");
    if (found["missing"] != 0)
      find("accepted is not queued + delivered + quarantined + dropped: " + std::to_string(found["missing"]) + " off");
    if (found["next"] <= found["newest"] || found["lag"] >= static_cast<std::int64_t>(kFiguresLagMax))
      find("next_sequence does not belong to the newest row");
    const std::int64_t span = found["oldest"] == 0 ? 0 : found["newest"] - found["oldest"] + 1;
    if ((found["oldest"] == 0) != (found["queued"] == 0) || found["queued"] > span)
      find(std::to_string(found["queued"]) + " messages should be queued, and there is room for " +
           std::to_string(span) + " between the oldest and the newest row");
    return {};
  }

  Result<void> thorough(sqlite::Database& database) {
    auto check = database.prepare("PRAGMA integrity_check(100)");
    if (!check) return tl::unexpected(check.error());
    for (;;) {
      const Result<bool> row = check->step();
      if (!row) return tl::unexpected(row.error());
      if (!*row) break;
      if (check->text(0) != "ok") find(std::string(check->text(0)));
    }
    const auto tables = our_tables();
    if (!tables) return tl::unexpected(tables.error());
    auto checker = RowChecker::open(database);
    if (!checker) return tl::unexpected(checker.error());
    for (const TableShape& table : *tables) {
      if (!RowChecker::checks(table)) continue;
      const Result<std::uint64_t> rows = checksums(database, table, *checker);
      if (!rows) return tl::unexpected(rows.error());
      const std::uint64_t expected = table.name == "messages" ? report.queued : report.quarantined;
      if (!report.in_use && *rows != expected)
        find("the table " + table.name + " has " + std::to_string(*rows) + " rows, and the figures say " +
             std::to_string(expected));
    }
    return {};
  }

  Result<std::uint64_t> checksums(sqlite::Database& database, const TableShape& table, RowChecker& checker) {
    auto reader = TableReader::open(database, table);
    if (!reader) return tl::unexpected(reader.error());
    for (std::uint64_t count = 0;;) {
      const Result<std::vector<Row>> rows = reader->next(kRowsPerSlice, kBytesPerSlice);
      if (!rows) return tl::unexpected(rows.error());
      if (rows->empty()) return count;
      for (const Row& row : *rows) {
        const Result<bool> sound = checker.sound(table, row);
        if (!sound) return tl::unexpected(sound.error());
        const bool known_damage =
            table.name != "messages" && std::get<std::string>(row.values[table.column("reason")]) == "checksum";
        if (!*sound && !known_damage)
          find(table.name + ": the checksum of sequence " + std::to_string(row.id) + " does not match");
      }
      count += rows->size();
      report.rows_checked += rows->size();
      if (progress_) progress_(report.rows_checked, report.queued + report.quarantined);
    }
  }

  const StoreFiles& files_;
  const IntegrityProgress& progress_;
  bool newer_ = false;
};

}  // namespace

Result<IntegrityReport> check_integrity(const std::string& path, bool deep, const IntegrityProgress& progress) {
  const Result<StoreFiles> files = locate_files(path);
  if (!files) return tl::unexpected(files.error());
  // A daemon that starts or stops meanwhile may give the WAL a new file, and moves on figures that were read: what is
  // found then says nothing.
  constexpr int kTries = 5;
  for (int tries = 1;; ++tries) {
    const ino_t wal = inode_of(files->wal);
    Check check(*files, progress);
    const Result<void> checked = check.run(deep);
    const bool undisturbed = wal == inode_of(files->wal) && check.report.in_use == is_locked(*files);
    if (!undisturbed && tries < kTries && (!checked || !check.report.sound())) continue;
    if (!checked) return tl::unexpected(checked.error());
    return std::move(check.report);
  }
}

}  // namespace twinspool

#include "spool/store_home.h"

#include <sys/stat.h>
#include <unistd.h>

#include "spool/fixture.h"
#include "spool/schema.h"
#include "support/catch.h"

namespace twinspool {
namespace {

ino_t inode(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

unsigned mode(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

TEST_CASE("a new store makes its directory and gives its group read access", "[spool][home]") {
  TestSpool store;
  store.config.path = store.dir.file("sub/queue.db");
  store.open();
  store.append(telemetry("pump", "a"));
  CHECK(mode(store.dir.file("sub")) == 0750);
  CHECK(mode(store.config.path) == 0640);
  CHECK(mode(store.config.path + "-wal") == 0640);
  CHECK(mode(store.config.path + ".lock") == 0640);
}

TEST_CASE("only one level of directory is made", "[spool][home]") {
  TestSpool store;
  store.config.path = store.dir.file("no/sub/queue.db");
  CHECK_FALSE(store.try_open());
}

TEST_CASE("a second daemon is refused and told who is there", "[spool][home]") {
  TestSpool store;
  store.open();
  net::EventLoop loop(net::EventLoop::Clock::manual);
  const auto second = Spool::open(store.config, loop, Spool::Writer::none, store.clocks.get());
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::busy);
  CHECK(second.error().what.find("process " + std::to_string(::getpid())) != std::string::npos);
  CHECK(store.append(telemetry("pump", "a")));
}

TEST_CASE("another program's database and a file that is none are refused untouched", "[spool][home]") {
  TestSpool store;
  const std::string name = GENERATE("sqlite", "text", "short");
  if (name == "sqlite") {
    store.dir.write("queue.db", "");
    store.write_sql("CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
  } else {
    store.dir.write("queue.db", name == "text" ? std::string(5000, 'x') : "x");
  }
  const std::string before = store.dir.read("queue.db");
  const Result<void> opened = store.try_open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == Errc::invalid);
  CHECK(opened.error().what.find("nothing was changed") != std::string::npos);
  CHECK(store.dir.read("queue.db") == before);
  CHECK_FALSE(std::filesystem::exists(store.config.path + "-wal"));
}

TEST_CASE("a store that is gone where one was is not replaced by a new one", "[spool][home]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.close();
  std::filesystem::remove(store.config.path);
  const Result<void> opened = store.try_open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().what.find("says that a queue was here") != std::string::npos);
}

TEST_CASE("a file that is empty where a store was is kept, and what its WAL holds is salvaged", "[spool][home]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  store.kill();
  store.dir.write("queue.db", "");
  store.open();
  CHECK(store.spool->stats().degraded.find("the file is empty") != std::string::npos);
  CHECK(store.read()->messages.size() == 1);
}

TEST_CASE("a directory in the file's place is refused", "[spool][home]") {
  TestSpool store;
  std::filesystem::create_directory(store.config.path);
  const Result<void> opened = store.try_open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == Errc::invalid);
}

TEST_CASE("queue.db may be a link, and its WAL lies beside the real file", "[spool][home]") {
  TestSpool store;
  const std::string real = store.dir.file("real.db");
  store.config.path = real;
  store.open();
  store.append(telemetry("pump", "a"));
  store.close();
  std::filesystem::create_symlink(real, store.dir.file("queue.db"));
  store.config.path = store.dir.file("queue.db");
  store.open();
  CHECK(store.read()->messages.size() == 1);
  CHECK_FALSE(std::filesystem::exists(store.dir.file("queue.db-wal")));
}

TEST_CASE("after a kill in the same boot the WAL is a new file with the same rows", "[spool][home]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "a"));
  // The image of a running store.
  const TempDir image;
  for (const char* name : {"queue.db", "queue.db-wal", "queue.db.run"})
    std::filesystem::copy_file(store.dir.path() / name, image.path() / name);
  const StoreFiles copy = *prepare_files(image.file("queue.db"));
  const std::string wal = image.read("queue.db-wal");
  REQUIRE_FALSE(wal.empty());
  const RunFile run = *read_run_file(copy);
  CHECK(run.state == RunFile::State::running);
  CHECK(run.pid == ::getpid());

  const std::pair before{inode(copy.wal), inode(copy.database)};
  SECTION("in another boot the disk is the truth") {
    RunFile after = run;
    after.io_error = true;
    REQUIRE(adopt(copy, after, "boot-two", false));
    CHECK(inode(copy.wal) == before.first);
    CHECK(inode(copy.database) == before.second);
  }
  SECTION("in the same boot the WAL is copied") {
    REQUIRE(adopt(copy, run, "boot-one", false));
    CHECK(inode(copy.wal) != before.first);
    CHECK(inode(copy.database) == before.second);
  }
  SECTION("after an I/O error the main file, too") {
    RunFile after = run;
    after.io_error = true;
    REQUIRE(adopt(copy, after, "boot-one", false));
    CHECK(inode(copy.wal) != before.first);
    CHECK(inode(copy.database) != before.second);
  }
  SECTION("after a clean stop nothing is") {
    RunFile clean = run;
    clean.state = RunFile::State::clean;
    REQUIRE(adopt(copy, clean, "boot-one", false));
    CHECK(inode(copy.wal) == before.first);
  }
  CHECK(image.read("queue.db-wal") == wal);
  CHECK(mode(copy.wal) == 0640);
}

// With psow=0 SQLite syncs a commit up to the end of its last sector, and no further.
TEST_CASE("what a power cut took of the frame that fills a commit's sector is written again", "[spool][home]") {
  TestSpool store;
  store.open();
  for (int i = 0; i < 5; ++i) REQUIRE(store.append(telemetry("pump", std::to_string(i))));
  const TempDir image;
  copy_store(store.dir, image);
  const StoreFiles copy = *prepare_files(image.file("queue.db"));
  const RunFile run = *read_run_file(copy);
  const std::string wal = image.read("queue.db-wal");
  REQUIRE(wal.size() % 4096 != 0);
  const std::string cut = wal.substr(0, wal.size() / 4096 * 4096);
  SECTION("its end is missing") { image.write("queue.db-wal", cut); }
  SECTION("its end is garbage") { image.write("queue.db-wal", cut + std::string(wal.size() - cut.size(), 'g')); }
  SECTION("it is whole") {}
  REQUIRE(adopt(copy, run, "boot-two", false));
  CHECK(image.read("queue.db-wal") == wal);

  image.write("queue.db-wal", cut);
  REQUIRE(adopt(copy, run, "boot-two", true));
  CHECK(image.read("queue.db-wal") == cut);  // for salvage nothing is written over
}

TEST_CASE("a clean stop leaves nothing in the WAL, unless a reader is in the way", "[spool][home]") {
  TestSpool store;
  store.open();
  for (int i = 0; i < 5; ++i) REQUIRE(store.append(telemetry("pump", std::to_string(i))));
  SECTION("none is") {
    store.close();
    CHECK(std::filesystem::file_size(store.config.path + "-wal") == 0);
    struct stat info {};
    REQUIRE(::stat((store.config.path + "-wal").c_str(), &info) == 0);
    CHECK(info.st_blocks > 0);  // its room on the disk is kept
  }
  SECTION("one is") {
    auto reader = sqlite::Database::open(store.config.path, sqlite::Database::Mode::read_only);
    REQUIRE(reader);
    REQUIRE(reader->execute("BEGIN; SELECT count(*) FROM messages"));
    store.close();
    CHECK(std::filesystem::file_size(store.config.path + "-wal") > 0);
  }
  CHECK(read_run_file(*prepare_files(store.config.path))->state == RunFile::State::clean);
  store.open();
  CHECK(store.read()->messages.size() == 5);
}

TEST_CASE("a clean stop is told from a kill", "[spool][home]") {
  TestSpool store;
  store.open();
  const StoreFiles files = *prepare_files(store.config.path);
  CHECK(read_run_file(files)->state == RunFile::State::running);
  store.close();
  CHECK(read_run_file(files)->state == RunFile::State::clean);
}

TEST_CASE("files that cannot be opened are no I/O error, so nothing is copied for them later", "[spool][home]") {
  TestSpool store;
  store.open();
  store.close();
  std::filesystem::remove(store.config.path + "-wal");
  std::filesystem::create_directory(store.config.path + "-wal");
  const Result<void> opened = store.try_open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == Errc::invalid);
  CHECK(store.dir.read("queue.db.run").find("io_error 0") != std::string::npos);
  std::filesystem::remove(store.config.path + "-wal");
  CHECK(store.try_open());
}

TEST_CASE("a header that a power cut tore during a checkpoint is in the WAL, too", "[spool][home]") {
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a", "{\"long\":\"" + std::string(9000, 'x') + "\"}")));  // the file grows
  store.kill();
  std::string database = store.dir.read("queue.db");
  database.replace(0, 4096, std::string(4096, '\xa5'));
  store.dir.write("queue.db", database);
  store.open();
  CHECK(store.spool->stats().degraded.empty());
  CHECK(store.read()->messages.size() == 1);
}

TEST_CASE("a first start that was cut goes on, and misses no WAL", "[spool][home]") {
  TestSpool store;
  store.dir.write("queue.db", "");
  store.write_sql("PRAGMA page_size = 4096; BEGIN; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = " +
                  std::to_string(kApplicationId) + "; COMMIT");
  const bool marked = GENERATE(false, true);
  if (marked) store.dir.write("queue.db.run", "boot another\npid 1\nstate running\nio_error 0\n");
  store.open();
  CHECK(store.spool->stats().degraded.empty());
  CHECK(store.append(telemetry("pump", "a")));
}

}  // namespace
}  // namespace twinspool

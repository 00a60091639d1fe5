#include "spool/page_file.h"

#include "spool/fixture.h"
#include "support/catch.h"

namespace twinspool {
namespace {

constexpr std::size_t kFrame = 24 + kPageBytes;

// A killed store: its WAL holds twenty commits of several pages.
struct Killed {
  explicit Killed(std::size_t body = 5000) {
    TestSpool store;
    store.open();
    for (int i = 0; i < 20; ++i)
      REQUIRE(store.append(telemetry("pump", std::to_string(i), "{\"t\":\"" + std::string(body, 'x') + "\"}")));
    copy_store(store.dir, dir);
  }
  PageFile open() const {
    Result<PageFile> file = PageFile::open(dir.file("queue.db"), dir.file("queue.db-wal"));
    REQUIRE(file);
    return std::move(*file);
  }
  void flip_in_wal(std::size_t at) const {
    std::string wal = dir.read("queue.db-wal");
    wal.at(at) = static_cast<char>(wal.at(at) ^ 1);
    dir.write("queue.db-wal", wal);
  }
  std::vector<Page> pages() const {
    const PageFile file = open();
    std::vector<Page> pages(file.pages());
    for (PageNumber number = 1; number <= file.pages(); ++number) REQUIRE(file.read(number, pages[number - 1]));
    return pages;
  }
  TempDir dir;
};

TEST_CASE("pages are what SQLite would read: of the WAL, else of the file", "[spool][salvage]") {
  const Killed store;
  const std::vector<Page> before = store.pages();
  CHECK(store.open().wal().frames > 20);
  CHECK_FALSE(store.open().wal().lost_commits);
  {
    auto database = sqlite::Database::open(store.dir.file("queue.db"), sqlite::Database::Mode::read_write);
    REQUIRE(database);
    REQUIRE(database->integer("SELECT count(*) FROM messages") == 20);
    REQUIRE(database->checkpoint());
  }
  std::filesystem::remove(store.dir.file("queue.db-wal"));
  CHECK(store.pages() == before);
}

TEST_CASE("a WAL whose first block is garbage has lost nothing where the database has all of it", "[spool][salvage]") {
  const Killed store;
  std::string wal = store.dir.read("queue.db-wal");
  const std::uint64_t frames = store.open().wal().frames;
  const auto page_of = [&](std::uint64_t frame) { return wal.substr(32 + frame * kFrame, 4); };
  const auto spoil = [&](std::uint64_t frame) { wal.at(32 + frame * kFrame + 1000) ^= '\x5a'; };
  int messages = 20;
  SECTION("all of it is in the WAL alone") { messages = 0; }
  SECTION("a checkpoint was there") {}
  SECTION("a checkpoint was there, and the last commit is torn, which nobody was told of") {
    std::uint64_t torn = frames - 1;
    while (page_of(torn) == page_of(frames - 1)) --torn;
    spoil(torn);
    store.dir.write("queue.db-wal", wal);
    messages = 19;
  }
  if (messages > 0) {
    auto database = sqlite::Database::open(store.dir.file("queue.db"), sqlite::Database::Mode::read_write);
    REQUIRE(database);
    REQUIRE(database->integer("SELECT count(*) FROM messages") == messages);
    REQUIRE(database->checkpoint());
    spoil(1);  // by the first commit of the next round, which is torn, too
  }
  std::fill_n(wal.begin(), 4096, 'g');
  store.dir.write("queue.db-wal", wal);
  CHECK(store.open().wal().lost_commits == (messages == 0));
}

TEST_CASE("one damaged frame of a WAL costs no other", "[spool][salvage]") {
  const Killed store;
  const std::vector<Page> before = store.pages();
  const std::uint64_t frames = store.open().wal().frames;
  if (GENERATE(false, true)) {  // SQLite would show what is before the damage though the database is newer
    auto database = sqlite::Database::open(store.dir.file("queue.db"), sqlite::Database::Mode::read_write);
    REQUIRE(database);
    REQUIRE(database->integer("SELECT count(*) FROM messages") == 20);
    REQUIRE(database->checkpoint());
  }
  const std::uint64_t frame = GENERATE(2, 9, 20);
  const std::size_t where = GENERATE(0, 5, 9, 17, 24, 3000);  // page number, commit, salt, checksum, page
  store.flip_in_wal(32 + frame * kFrame + where);
  const PageFile file = store.open();
  CHECK(file.wal().lost_commits);
  CHECK(file.wal().damaged >= 1);
  CHECK(file.wal().damaged <= 2);
  CHECK(file.wal().frames == frames);
  std::size_t different = 0;
  const std::vector<Page> after = store.pages();
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < before.size(); ++i) different += before[i] != after[i] ? 1 : 0;
  CHECK(different <= 1);
}

TEST_CASE("a damaged frame is found where all commits around it are of one page", "[spool][salvage]") {
  const Killed store(10);
  const std::uint64_t frames = store.open().wal().frames;
  store.flip_in_wal(32 + (frames - 6) * kFrame + 3000);  // behind it: its padding, and two commits with theirs
  CHECK(store.open().wal().lost_commits);
}

TEST_CASE("a damaged header of a WAL costs nothing", "[spool][salvage]") {
  const Killed store;
  const std::vector<Page> before = store.pages();
  store.flip_in_wal(GENERATE(0, 3, 10, 14, 17, 21, 25, 30));
  CHECK(store.pages() == before);
  CHECK(store.open().wal().lost_commits);  // SQLite begins with an empty WAL
}

// A killed store whose WAL a checkpoint has copied whole; its next commits write over it from its start.
struct BegunAnew : Killed {
  enum class Header : std::uint8_t { sound, lost };  // of the round before
  explicit BegunAnew(const std::string& next, Header header = Header::sound) {
    old = dir.read("queue.db-wal");
    if (header == Header::lost) {  // a power cut had taken it once before, so the next salts have nothing to do with it
      auto database = sqlite::Database::open(dir.file("queue.db"), sqlite::Database::Mode::read_write);
      REQUIRE(database);
      REQUIRE(database->integer("SELECT count(*) FROM messages") == 20);
      REQUIRE(database->checkpoint());
      dir.write("queue.db-wal", std::string(4096, 'g') + old.substr(4096));
      std::filesystem::remove(dir.file("queue.db-shm"));
    }
    auto database = sqlite::Database::open(dir.file("queue.db"), sqlite::Database::Mode::read_write);
    REQUIRE(database);
    REQUIRE(database->integer("SELECT count(*) FROM messages") == 20);  // or SQLite has not seen the WAL yet
    REQUIRE(database->restart_wal() == true);
    REQUIRE(database->execute("PRAGMA wal_autocheckpoint = 0"));
    REQUIRE(database->execute(next));
    fresh = dir.read("queue.db-wal");
    REQUIRE(old.substr(0, 32) != fresh.substr(0, 32));
  }
  bool lost_commits(const std::string& wal) const {
    dir.write("queue.db-wal", wal);
    return open().wal().lost_commits;
  }
  std::string old, fresh;
};

TEST_CASE("a damaged header of a WAL that has just begun anew is damage, too", "[spool][salvage]") {
  const BegunAnew store("UPDATE store SET created_ms = 1; UPDATE store SET created_ms = 2");
  std::string wal = store.fresh;
  wal.at(17) ^= '\x5a';
  CHECK(store.lost_commits(wal));
}

TEST_CASE("a damaged header is damage though the WAL has one commit", "[spool][salvage]") {
  const BegunAnew store("UPDATE store SET created_ms = 1");
  for (std::size_t bit = 0; bit < 8 * 32; ++bit) {
    std::string wal = store.fresh;
    wal.at(bit / 8) = static_cast<char>(wal.at(bit / 8) ^ 1 << bit % 8);
    CHECK(store.lost_commits(wal));
  }
}

TEST_CASE("a WAL that began anew with a commit that is torn, first block and all, has lost nothing",
          "[spool][salvage]") {
  const BegunAnew store("UPDATE messages SET body = hex(zeroblob(5000))",
                        GENERATE(BegunAnew::Header::sound, BegunAnew::Header::lost));
  const std::size_t missing = GENERATE(1u, 6u, 10u, 20u, 30u);  // blocks behind the first that were not written
  std::string wal = store.fresh;
  std::fill_n(wal.begin(), 4096, 'g');
  wal.replace(4096, 4096 * missing, store.old, 4096, 4096 * missing);
  CHECK_FALSE(store.lost_commits(wal));
}

TEST_CASE("a torn end of a WAL is no damage", "[spool][salvage]") {
  const Killed store;
  const std::uint64_t frames = store.open().wal().frames;
  SECTION("cut") { std::filesystem::resize_file(store.dir.file("queue.db-wal"), 32 + frames * kFrame - 100); }
  SECTION("wrong") { store.flip_in_wal(32 + (frames - 1) * kFrame + 100); }
  CHECK_FALSE(store.open().wal().lost_commits);
}

// Power cut, start, power cut: the first frames of the second start's commit are torn, and behind it stands the end of
// the commit that the first cut tore.
TEST_CASE("what is left of two torn commits is no damage", "[spool][salvage]") {
  const Killed store;
  std::string wal = store.dir.read("queue.db-wal");
  const std::uint64_t frames = store.open().wal().frames;
  // The last three commits, of several frames each, no longer continue each other, and each has lost its first frame.
  std::vector<std::uint64_t> ends;  // of commits, padding aside
  for (std::uint64_t i = 0; i < frames; ++i) {
    const auto word = [&](std::uint64_t frame, std::size_t at) { return wal.substr(32 + frame * kFrame + at, 4); };
    const bool commit = word(i, 4) != std::string(4, '\0');
    if (commit && (i == 0 || word(i, 0) != word(i - 1, 0))) ends.push_back(i);
  }
  REQUIRE(ends.size() > 10);
  for (std::size_t i = ends.size() - 3; i < ends.size(); ++i) {
    std::uint64_t first = ends[i - 1] + 1;
    while (wal.substr(32 + first * kFrame, 4) == wal.substr(32 + (first - 1) * kFrame, 4)) ++first;  // its padding
    for (std::size_t at = 0; at < kFrame; ++at) wal.at(32 + first * kFrame + at) ^= '\x5a';
  }
  store.dir.write("queue.db-wal", wal);
  CHECK_FALSE(store.open().wal().lost_commits);
}

}  // namespace
}  // namespace twinspool

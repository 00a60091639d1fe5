#include "spool/wal_readers.h"

#include <sys/wait.h>
#include <unistd.h>

#include "spool/fixture.h"
#include "support/catch.h"

namespace twinspool {

TEST_CASE("the process whose query holds the WAL is named, and nobody once it has ended", "[spool][wal]") {
  TestSpool store;
  store.open();
  REQUIRE(store.append(telemetry("pump", "a")));
  auto readers = std::make_unique<WalReaders>(store.config.path + "-shm");
  CHECK_FALSE(readers->holder());

  int reading[2], done[2];
  REQUIRE(::pipe(reading) == 0);
  REQUIRE(::pipe(done) == 0);
  const pid_t other = ::fork();
  if (other == 0) {  // a program of its own: this one's SQLite must not be used behind a fork
    ::dup2(done[0], STDIN_FILENO);
    ::dup2(reading[1], STDOUT_FILENO);
    ::close(done[1]);
    ::execlp("sqlite3", "sqlite3", "-readonly", store.config.path.c_str(), nullptr);
    ::_exit(127);
  }
  const std::string query = "BEGIN; SELECT count(*) FROM queue;\n";
  REQUIRE(::write(done[1], query.data(), query.size()) == static_cast<ssize_t>(query.size()));
  char answer[2] = {};
  REQUIRE(::read(reading[0], answer, 2) == 2);
  CHECK(answer[0] == '1');
  CHECK(readers->holder() == other);
  CHECK(process_name(other) == "sqlite3");

  ::close(done[1]);  // its end of input
  ::waitpid(other, nullptr, 0);
  CHECK_FALSE(readers->holder());
  for (const int descriptor : {reading[0], reading[1], done[0]}) ::close(descriptor);
  store.close();
  readers.reset();  // not before: closing it takes the locks of this process with it
}

}  // namespace twinspool

#include "util/journal.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "support/catch.h"
#include "support/temp_dir.h"

namespace twinspool::log {
namespace {

// The socket of a journal, and what lies in it.
class StandIn {
 public:
  StandIn() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  ~StandIn() { close(socket_); }
  StandIn(StandIn&&) = delete;

  std::string path() const { return dir_.file("journal"); }
  std::vector<std::string> entries() const {
    std::vector<std::string> all;
    std::string bytes(1 << 16, '\0');
    for (ssize_t size = 0; (size = recv(socket_, bytes.data(), bytes.size(), 0)) > 0;)
      all.push_back(bytes.substr(0, static_cast<std::size_t>(size)));
    return all;
  }

 private:
  TempDir dir_;
  const int socket_;
};

}  // namespace

TEST_CASE("an entry of the journal has the event and each fact as a field", "[util][journal]") {
  CHECK(journal_entry(4, "forward.held twin=pump", "forward.held", {{"twin", "pump"}, {"last_status", 404}}) ==
        "MESSAGE=forward.held twin=pump\nPRIORITY=4\nSYSLOG_IDENTIFIER=twinspoold\nTWINSPOOL_EVENT=forward.held\n"
        "TWINSPOOL_TWIN=pump\nTWINSPOOL_LAST_STATUS=404\n");
}

TEST_CASE("a value cannot add fields to its entry", "[util][journal]") {
  const std::string entry = journal_entry(6, "m", "e", {{"why", "first\nPRIORITY=0"}});
  CHECK(entry.ends_with(std::string("TWINSPOOL_WHY\n\x10\0\0\0\0\0\0\0first\nPRIORITY=0\n", 14 + 8 + 16 + 1)));
}

TEST_CASE("the journal gets one entry a call", "[util][journal]") {
  const StandIn journal;
  const Journal to(journal.path());
  CHECK(to.send("MESSAGE=one\n"));
  CHECK(to.send("MESSAGE=two\n"));
  CHECK(journal.entries() == std::vector<std::string>{"MESSAGE=one\n", "MESSAGE=two\n"});
}

TEST_CASE("a journal that is away, full or overtaxed does not take an entry, and does not hold it up",
          "[util][journal]") {
  CHECK_FALSE(Journal("/nowhere/socket").send("MESSAGE=x\n"));
  CHECK_FALSE(Journal("").send("MESSAGE=x\n"));
  CHECK_FALSE(Journal(std::string(200, 'x')).send("MESSAGE=x\n"));
  const StandIn journal;
  const Journal to(journal.path());
  CHECK_FALSE(to.send(std::string(std::size_t{16} << 20, 'x')));
  int sent = 0;
  while (sent < 1'000'000 && to.send("MESSAGE=x\n")) ++sent;
  CHECK(sent < 1'000'000);
  CHECK(journal.entries().size() == static_cast<std::size_t>(sent));
  CHECK(to.send("MESSAGE=again\n"));
}

}  // namespace twinspool::log

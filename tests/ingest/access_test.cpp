#include "ingest/access.h"

#include <grp.h>
#include <unistd.h>

#include "support/catch.h"

namespace twinspool::ingest {
namespace {

TEST_CASE("a star stands for any text, everything else for itself", "[ingest][access]") {
  CHECK(matches("*", ""));
  CHECK(matches("pump", "pump"));
  CHECK_FALSE(matches("pump", "pump1"));
  CHECK_FALSE(matches("Pump", "pump"));
  CHECK(matches("line-*-pump", "line-1-2-pump"));
  CHECK_FALSE(matches("line-*-pump", "line-pump"));
  CHECK(matches("*a*b*", "xaxxbx"));
  CHECK_FALSE(matches("*a*b", "xaxxbx"));
  CHECK_FALSE(matches("a?c", "abc"));
  CHECK(matches("**", "x"));
}

TEST_CASE("a glob with many stars takes no longer than the text is long", "[ingest][access]") {
  std::string glob;
  for (int i = 0; i < 200; ++i) glob += "a*";
  CHECK_FALSE(matches(glob + "b", std::string(1000, 'a')));
}

TEST_CASE("twins are compared as people read them", "[ingest][access]") {
  const auto access = Access::of({.path = "/run/x.sock", .twins = {"Halle Süd*", "50%"}});
  REQUIRE(access);
  CHECK(access->check_twin("Halle%20S%C3%BCd-1"));
  CHECK(access->check_twin("50%25"));
  const auto refused = access->check_twin("Halle%20Nord");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().status == 403);
  CHECK(refused.error().message ==
        "the socket /run/x.sock takes messages of the twins Halle Süd*, 50%, and not of 'Halle Nord'");
  CHECK(Access::of({.twins = {"a", "*"}})->every_twin());
}

TEST_CASE("users and groups are let in by name, by number and by a supplementary group", "[ingest][access]") {
  const auto access = Access::of({.allow_users = {"root", "1234"}, .allow_groups = {"daemon"}});
  REQUIRE(access);
  const gid_t daemons = ::getgrnam("daemon")->gr_gid;
  CHECK(access->check_peer({.uid = 0, .gid = 0}));
  CHECK(access->check_peer({.uid = 1234, .gid = 99}));
  CHECK(access->check_peer({.uid = 7, .gid = daemons}));
  CHECK(access->check_peer({.uid = 7, .gid = 99, .groups = {98, daemons}}));
  const auto refused = access->check_peer({.pid = 42, .uid = 7, .gid = 99, .groups = {98, 97}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == "Forbidden");
  CHECK(refused.error().message.find("user root (0), user 1234, group daemon (" + std::to_string(daemons) + ")") !=
        std::string::npos);
  CHECK(refused.error().message.ends_with("you are seen as uid 7, gid 99, groups 98, 97, pid 42"));
  CHECK_FALSE(access->check_peer({}));  // nobody knows who
  CHECK(Access::of({})->check_peer({}));
}

TEST_CASE("a user that this machine does not have is refused at the start", "[ingest][access]") {
  const auto access = Access::of({.path = "/run/x.sock", .allow_users = {"no-such-user-here"}});
  REQUIRE_FALSE(access);
  CHECK(access.error().what == "there is no user no-such-user-here, whom the socket /run/x.sock should let in");
}

}  // namespace
}  // namespace twinspool::ingest

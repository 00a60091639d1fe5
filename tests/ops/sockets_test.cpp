#include "ops/sockets.h"

#include "support/catch.h"
#include "support/temp_dir.h"

using namespace twinspool;
using namespace twinspool::ops;

TEST_CASE("what is given wins over the configuration", "[ops][sockets]") {
  const TempDir dir;
  const std::string config =
      dir.write("c.yaml", "listen: [{path: /m.sock}, {path: /second.sock}]\nadmin: {path: /a.sock}\n");
  const auto from_config = find_sockets({.config = config});
  REQUIRE(from_config);
  CHECK(from_config->message == "/m.sock");
  CHECK(from_config->admin == "/a.sock");
  const auto mixed = find_sockets({.config = config, .message_socket = "/x.sock"});
  REQUIRE(mixed);
  CHECK(mixed->message == "/x.sock");
  CHECK(mixed->admin == "/a.sock");
  // With both given, the configuration is not even read.
  CHECK(find_sockets({.config = dir.file("none"), .message_socket = "/x", .admin_socket = "/y"}));
}

TEST_CASE("a configuration that was named has to be there and right", "[ops][sockets]") {
  const TempDir dir;
  CHECK_FALSE(find_sockets({.config = dir.file("none.yaml")}));
  const auto wrong = find_sockets({.config = dir.write("bad.yaml", "lisen: []\n")});
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().what.find("bad.yaml:1:1: lisen") != std::string::npos);
}

TEST_CASE("why the daemon is not reachable names the socket and the likely cause", "[ops][sockets]") {
  const TempDir dir;
  const std::string missing = why_not_reachable(dir.file("s.sock"), "no such file");
  CHECK(missing.find(dir.file("s.sock")) != std::string::npos);
  CHECK(missing.find("there is no such socket: twinspoold is not running") != std::string::npos);
  CHECK(why_not_reachable(dir.write("stale.sock", ""), "refused").find("nobody answers on it") != std::string::npos);
}

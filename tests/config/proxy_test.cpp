#include "config/proxy.h"

#include "support/catch.h"

using namespace twinspool;

TEST_CASE("a proxy's URL is taken apart", "[config][proxy]") {
  const struct {
    const char* url;
    const char* host;
    std::uint16_t port;
    const char* user;
    const char* password;
    const char* shown;
  } rows[] = {
      {"http://proxy:3128", "proxy", 3128, "", "", "proxy:3128"},
      {"HTTP://Proxy.Plant.example:8080/", "proxy.plant.example", 8080, "", "", "proxy.plant.example:8080"},
      {"http://10.0.0.1:1", "10.0.0.1", 1, "", "", "10.0.0.1:1"},
      {"http://[FD00::1]:65535", "fd00::1", 65535, "", "", "[fd00::1]:65535"},
      {"http://gateway:secret@proxy:3128", "proxy", 3128, "gateway", "secret", "proxy:3128"},
      {"http://gateway@proxy:3128", "proxy", 3128, "gateway", "", "proxy:3128"},
      {"http://g%40plant:s%3a%25%20@[::1]:3128", "::1", 3128, "g@plant", "s:% ", "[::1]:3128"},
      {"http://gateway:s@c/r?e#t:p@proxy:3128", "proxy", 3128, "gateway", "s@c/r?e#t:p", "proxy:3128"},
  };
  for (const auto& row : rows) {
    INFO(row.url);
    const auto proxy = parse_proxy(row.url);
    REQUIRE(proxy);
    CHECK(proxy->host == row.host);
    CHECK(proxy->port == row.port);
    CHECK(proxy->user == row.user);
    CHECK(proxy->password == row.password);
    CHECK(proxy->shown() == row.shown);
  }
}

TEST_CASE("a proxy's URL that is wrong is refused with what is accepted, and never repeated", "[config][proxy]") {
  const struct {
    const char* url;
    const char* part;
  } rows[] = {
      {"proxy:3128", "does not begin with http://"},
      {"socks5://hunter2@proxy:1080", "does not begin with http://"},
      {"https://u:hunter2@proxy:3128", "TLS to the proxy itself"},
      {"http://u:hunter2@proxy", "the port is missing"},
      {"http://u:hunter2@proxy:", "the port is not a number"},
      {"http://u:hunter2@proxy:0", "the port is not a number"},
      {"http://u:hunter2@proxy:65536", "the port is not a number"},
      {"http://u:hunter2@proxy:3128/path", "the port is not a number"},
      {"http://u:hunter2@:3128", "the host is missing"},
      {"http://u:hunter2@pro xy:3128", "the host is missing"},
      {"http://u:hunter2@[proxy]:3128", "the host is missing"},
      {"http://u:hunter2@[::1:3128", "the host is missing"},
      {"http://u:hunter2%@proxy:3128", "%25 is accepted for %"},
      {"http://u:hunter2%4@proxy:3128", "%25 is accepted for %"},
      {"http://:hunter2@proxy:3128", "the user before the @ is empty"},
      {"http://a%3Ab:hunter2@proxy:3128", "has a colon"},
      {"http://u:hunter2%0d%0aX@proxy:3128", "a control character"},
  };
  for (const auto& row : rows) {
    INFO(row.url);
    const auto proxy = parse_proxy(row.url);
    REQUIRE_FALSE(proxy);
    CHECK(proxy.error().code == Errc::invalid);
    INFO(proxy.error().what);
    CHECK(proxy.error().what.find(row.part) != std::string::npos);
    CHECK(proxy.error().what.find("accepted") != std::string::npos);
    CHECK(proxy.error().what.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("no_proxy names hosts, domains, addresses and blocks", "[config][proxy]") {
  const struct {
    const char* entry;
    std::vector<const char*> bypass;
    std::vector<const char*> proxied;
  } rows[] = {
      {"*", {"cloud.test", "10.1.2.3", "fd00::1"}, {}},
      {"cloud.test", {"cloud.test", "CLOUD.test", "cloud.test."}, {"a.cloud.test", "xcloud.test", "test"}},
      {"Cloud.Test.", {"cloud.test"}, {"a.cloud.test"}},
      {".cloud.test", {"a.cloud.test", "b.a.cloud.test", "cloud.test"}, {"xcloud.test", "cloud.test.example"}},
      {"10.1.2.3", {"10.1.2.3"}, {"10.1.2.4", "cloud.test"}},
      {"[FD00::1]", {"fd00::1", "fd00:0:0::1"}, {"fd00::2"}},
      {"10.0.0.0/8", {"10.0.0.0", "10.255.255.255"}, {"11.0.0.0", "fd00::1", "10.cloud.test"}},
      {"10.1.2.0/23", {"10.1.3.255"}, {"10.1.4.0"}},
      {"0.0.0.0/0", {"192.0.2.1"}, {"fd00::1", "cloud.test"}},
      {"fd00::/8", {"fdff::1"}, {"fe80::1", "10.0.0.1"}},
      {".2.3", {}, {"10.1.2.3"}},
  };
  for (const auto& row : rows) {
    INFO(row.entry);
    CHECK_FALSE(why_bad_no_proxy(row.entry).has_value());
    for (const char* host : row.bypass) {
      INFO(host);
      CHECK(bypasses_proxy({"elsewhere.test", row.entry}, host));
    }
    for (const char* host : row.proxied) {
      INFO(host);
      CHECK_FALSE(bypasses_proxy({"elsewhere.test", row.entry}, host));
    }
  }
  CHECK_FALSE(bypasses_proxy({}, "cloud.test"));
}

TEST_CASE("what is no host in no_proxy is refused with what is accepted", "[config][proxy]") {
  for (const char* entry : {"", ".", "a,b", "a b", "cloud.test:443", "http://cloud.test", "10.0.0.0/33", "10.0.0.0/x",
                            "fd00::/129", "cloud.test/8", "*.cloud.test", "-a"}) {
    INFO(entry);
    const auto why = why_bad_no_proxy(entry);
    REQUIRE(why);
    CHECK(why->find("is accepted") != std::string::npos);
  }
}

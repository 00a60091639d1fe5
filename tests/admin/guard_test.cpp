#include "admin/guard.h"

#include "support/catch.h"

namespace twinspool::admin {
namespace {

int status_of(Door door, const std::string& method, const http::Headers& headers) {
  const auto refused = why_refused({.method = method, .target = "/status", .headers = headers, .body = ""}, door);
  return refused ? refused->status : 200;
}

}  // namespace

TEST_CASE("only this machine's own names are answered, so that no page can rebind its name to it", "[admin][guard]") {
  for (const Door door : {Door::socket, Door::tcp}) {
    for (const char* own : {"localhost", "localhost:9464", "127.0.0.1:9464", "127.8.0.1", "[::1]:9464"})
      CHECK(status_of(door, "GET", {{"Host", own}}) == 200);
    for (const char* foreign : {"evil.example", "evil.example:9464", "127.0.0.1.evil.example", "192.0.2.1:9464",
                                "[2001:db8::1]", "localhost.evil.example", "0.0.0.0:9464"}) {
      INFO(foreign);
      CHECK(status_of(door, "GET", {{"Host", foreign}}) == 403);
    }
  }
  CHECK(status_of(Door::socket, "GET", {{"Host", "gateway"}}) == 200);
  CHECK(status_of(Door::tcp, "GET", {{"Host", "gateway"}}) == 403);
}

TEST_CASE("pages of other sites are refused, links to this one are not", "[admin][guard]") {
  const http::Headers own = {{"Host", "localhost:8080"}, {"Origin", "http://localhost:8080"}};
  CHECK(status_of(Door::socket, "POST", own) == 200);
  for (const char* origin : {"http://evil.example", "https://localhost:8080", "http://localhost:1", "null"})
    CHECK(status_of(Door::socket, "POST", {{"Host", "localhost:8080"}, {"Origin", origin}}) == 403);

  const auto fetched = [](const char* site, const char* mode, const char* where, const char* method = "GET") {
    return status_of(
        Door::tcp, method,
        {{"Host", "localhost:9464"}, {"Sec-Fetch-Site", site}, {"Sec-Fetch-Mode", mode}, {"Sec-Fetch-Dest", where}});
  };
  CHECK(fetched("same-origin", "cors", "empty") == 200);
  CHECK(fetched("none", "navigate", "document") == 200);
  CHECK(fetched("cross-site", "navigate", "document") == 200);
  CHECK(fetched("cross-site", "navigate", "iframe") == 403);
  CHECK(fetched("cross-site", "no-cors", "image") == 403);
  CHECK(fetched("same-site", "cors", "empty") == 403);  // another port of localhost is somebody else
  CHECK(fetched("cross-site", "navigate", "document", "POST") == 403);
}

TEST_CASE("by TCP nothing can be changed", "[admin][guard]") {
  const http::Headers own = {{"Host", "127.0.0.1:9464"}};
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "HEAD"})
    CHECK(status_of(Door::tcp, method, own) == 405);
  CHECK(status_of(Door::socket, "POST", own) == 200);
}

}  // namespace twinspool::admin

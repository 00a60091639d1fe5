#include "forward/endpoint_url.h"

#include "support/catch.h"

namespace twinspool::forward {

TEST_CASE("an endpoint is a host with a port", "[forward][endpoint_url]") {
  struct Row {
    const char* url;
    const char* host;
    std::uint16_t port;
    const char* authority;
  };
  const Row rows[] = {
      {"https://x.api.weu.digitaltwins.azure.net", "x.api.weu.digitaltwins.azure.net", 443,
       "x.api.weu.digitaltwins.azure.net"},
      {"HTTPS://Example.COM/", "example.com", 443, "example.com"},
      {"https://example.com:443", "example.com", 443, "example.com"},
      {"https://localhost:8443", "localhost", 8443, "localhost:8443"},
      {"https://192.0.2.7:1", "192.0.2.7", 1, "192.0.2.7:1"},
      {"https://[2001:DB8::1]", "2001:db8::1", 443, "[2001:db8::1]"},
      {"https://[::1]:65535/", "::1", 65535, "[::1]:65535"},
  };
  for (const Row& row : rows) {
    INFO(row.url);
    const auto endpoint = parse_endpoint(row.url);
    REQUIRE(endpoint);
    CHECK(endpoint->host == row.host);
    CHECK(endpoint->port == row.port);
    CHECK(endpoint->authority == row.authority);
  }
}

TEST_CASE("anything else is refused with what would be accepted", "[forward][endpoint_url]") {
  for (const char* url : {"",
                          "example.com",
                          "http://example.com",
                          "https://",
                          "https:///",
                          "https://a b",
                          "https://-a",
                          "https://example.com/path",
                          "https://example.com?x",
                          "https://example.com#x",
                          "https://user@example.com",
                          "https://example.com:",
                          "https://example.com:0",
                          "https://example.com:65536",
                          "https://example.com:8x",
                          "https://example.com:-1",
                          "https://[::1",
                          "https://[zz]",
                          "https://[::1]8443",
                          "https://::1",
                          "https://ex\r\nample.com"}) {
    INFO(url);
    const auto endpoint = parse_endpoint(url);
    REQUIRE_FALSE(endpoint);
    CHECK(endpoint.error().code == Errc::invalid);
    CHECK(endpoint.error().what.find("https://host[:port]") != std::string::npos);
  }
}

}  // namespace twinspool::forward

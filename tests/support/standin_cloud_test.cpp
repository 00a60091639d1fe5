#include "support/standin_cloud.h"

#include <memory>
#include <optional>

#include "http/client.h"
#include "support/catch.h"
#include "support/certificates.h"
#include "support/run_until.h"
#include "support/standin_control.h"
#include "support/temp_dir.h"
#include "tls/tls_stream.h"
#include "util/json.h"

namespace twinspool::test {
namespace {

using namespace std::chrono_literals;

struct CloudFixture {
  CloudFixture() : authority(directory.path()) {
    const CertificateFiles leaf = authority.issue("server");
    auto started = StandInCloud::start(loop, {.port = 0,
                                              .cert_file = leaf.cert_file,
                                              .key_file = leaf.key_file,
                                              .records_file = directory.file("records.ndjson"),
                                              .token = {}});
    REQUIRE(started);
    cloud = std::move(*started);
    auto client = tls::Context::client({.ca_file = authority.ca_file()});
    REQUIRE(client);
    context = std::make_unique<tls::Context>(std::move(*client));
  }

  // An encrypted connection; null where it fails.
  std::unique_ptr<http::ClientConnection> connect() {
    net::Address address;
    auto* ipv4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    REQUIRE(uv_ip4_addr("127.0.0.1", cloud->port(), ipv4) == 0);
    std::optional<Result<std::unique_ptr<net::Stream>>> stream;
    auto pending = net::connect_tcp(loop, address, [&](auto result) { stream = std::move(result); });
    REQUIRE(run_until(loop, [&] { return stream.has_value(); }));
    if (!*stream) return nullptr;
    std::optional<Result<std::unique_ptr<net::Stream>>> encrypted;
    pending = tls::connect_tls(loop, std::move(**stream), *context, "localhost",
                               [&](auto result) { encrypted = std::move(result); });
    REQUIRE(run_until(loop, [&] { return encrypted.has_value(); }));
    if (!*encrypted) return nullptr;
    return std::make_unique<http::ClientConnection>(loop, std::move(**encrypted), http::ParserLimits{}, [] {});
  }

  Result<http::Response> exchange(http::ClientConnection& connection, const http::Request& request) {
    std::optional<Result<http::Response>> answer;
    connection.send(http::serialize(request), loop.now() + 30s, [&](auto result) { answer = std::move(result); });
    REQUIRE(run_until(loop, [&] { return answer.has_value(); }));
    return *std::move(answer);
  }

  // One request on a connection of its own; status 0: the connection ended without an answer.
  http::Response send(const http::Request& request) {
    const auto connection = connect();
    REQUIRE(connection);
    return exchange(*connection, request).value_or(http::Response{});
  }

  std::string record(std::size_t number, const std::string& name) {
    const auto document = json::Document::parse(cloud->records().lines(number, 1));
    REQUIRE(document);
    return document->value(name).value_or("");
  }

  TempDir directory;
  CertificateAuthority authority;
  net::EventLoop loop;
  std::unique_ptr<StandInCloud> cloud;
  std::unique_ptr<tls::Context> context;
};

http::Request telemetry(const std::string& id, const std::string& twin = "pump",
                        const std::string& body = R"({"n":1})") {
  http::Request request;
  request.method = "POST";
  request.target = "/digitaltwins/" + twin + "/telemetry?api-version=2023-10-31";
  request.headers = {{"Host", "localhost"}, {"Content-Type", "application/json"}, {"Message-Id", id}};
  request.body = body;
  return request;
}

std::string error_code(const http::Response& response) {
  const auto document = json::Document::parse(response.body);
  REQUIRE(document);
  CHECK(response.headers.get("x-ms-error-code") == document->value("error.code"));
  return document->value("error.code").value_or("");
}

}  // namespace

TEST_CASE("an accepted message is on record before its answer, with everything it carried", "[support][cloud]") {
  CloudFixture fixture;
  http::Request request = telemetry("id-1", "pump%2F1/components/motor");
  request.headers.add("Telemetry-Source-Time", "01/01/01 0:00:00 +00:00");
  request.headers.add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  request.headers.add("tracestate", "a=b");
  const http::Response answer = fixture.send(request);

  CHECK(answer.status == 204);
  CHECK(answer.headers.get("Content-Length") == "0");  // as the real one says, against RFC 9110
  CHECK(answer.headers.get("Date"));
  CHECK(answer.headers.get("traceresponse").value_or("").substr(3, 32) == "0af7651916cd43dd8448eb211c80319c");
  CHECK(fixture.record(0, "twin") == "pump%2F1");
  CHECK(fixture.record(0, "component") == "motor");
  CHECK(fixture.record(0, "message_id") == "id-1");
  CHECK(fixture.record(0, "source_time") == "01/01/01 0:00:00 +00:00");
  CHECK(fixture.record(0, "tracestate") == "a=b");
  CHECK(fixture.record(0, "body") == R"({"n":1})");
}

TEST_CASE("pipelined messages are recorded and answered in their order", "[support][cloud]") {
  CloudFixture fixture;
  const auto connection = fixture.connect();
  REQUIRE(connection);
  std::vector<int> answers;
  for (int n = 0; n < 20; ++n) {
    connection->send(http::serialize(telemetry("id-" + std::to_string(n))), fixture.loop.now() + 30s,
                     [&](const Result<http::Response>& answer) { answers.push_back(answer ? answer->status : 0); });
  }
  REQUIRE(run_until(fixture.loop, [&] { return answers.size() == 20; }));
  CHECK(answers == std::vector<int>(20, 204));
  for (std::size_t n = 0; n < 20; ++n) CHECK(fixture.record(n, "message_id") == "id-" + std::to_string(n));
}

TEST_CASE("what the real service refuses is refused in its words and not recorded", "[support][cloud]") {
  CloudFixture fixture;
  http::Request request = telemetry("");
  CHECK(fixture.send(request).status == 400);
  CHECK(error_code(fixture.send(request)) == "InvalidArgument");

  request = telemetry("id");
  request.target = "/digitaltwins/pump/telemetry?api-version=2019-01-01";
  CHECK(error_code(fixture.send(request)) == "InvalidArgument");
  CHECK(error_code(fixture.send(telemetry("id", "pump", "[1]"))) == "ValidationFailed");
  CHECK(fixture.send(telemetry("id", "pump", R"({"n":")" + std::string(32 * 1024, 'x') + R"("})")).status == 413);

  fixture.cloud->set_missing("ghost", "", true);
  fixture.cloud->set_missing("pump", "nose", true);
  CHECK(fixture.send(telemetry("id", "ghost")).status == 404);
  CHECK(error_code(fixture.send(telemetry("id", "ghost"))) == "DigitalTwinNotFound");
  CHECK(error_code(fixture.send(telemetry("id", "ghost/components/nose"))) == "DigitalTwinNotFound");
  CHECK(error_code(fixture.send(telemetry("id", "pump/components/nose"))) == "ComponentNotFound");

  fixture.cloud->require_token("secret");
  const http::Response unauthorized = fixture.send(telemetry("id"));
  CHECK(unauthorized.status == 401);
  CHECK(unauthorized.body == R"({"statusCode":401,"message":"Unauthorized"})");
  CHECK(fixture.cloud->records().size() == 0);

  request = telemetry("id");
  request.headers.add("Authorization", "Bearer secret");
  CHECK(fixture.send(request).status == 204);
  fixture.cloud->set_missing("ghost", "", false);
  request.target = "/digitaltwins/ghost/telemetry?api-version=2022-05-31";
  CHECK(fixture.send(request).status == 204);
}

TEST_CASE("a fault before acceptance leaves no record and one behind it does", "[support][cloud]") {
  CloudFixture fixture;
  REQUIRE(fixture.cloud->faults().set("", "503,reset,accept-reset,cut,cut-body", Fault{.retry_after = "7"}, false));
  const http::Response busy = fixture.send(telemetry("a"));
  CHECK(busy.status == 503);
  CHECK(busy.headers.get("Retry-After") == "7");
  CHECK(fixture.send(telemetry("b")).status == 0);
  CHECK(fixture.cloud->records().size() == 0);

  for (const std::string id : {"c", "d", "e"}) CHECK(fixture.send(telemetry(id)).status == 0);
  REQUIRE(fixture.cloud->records().size() == 3);
  CHECK(fixture.record(0, "message_id") == "c");
  CHECK(fixture.send(telemetry("f")).status == 204);
}

TEST_CASE("a hanging request gets no answer and a slow one gets it later", "[support][cloud]") {
  CloudFixture fixture;
  REQUIRE(fixture.cloud->faults().set("pump", "accept-hang,slow", Fault{.delay = 1ms}, false));
  const auto hanging = fixture.connect();
  const auto slow = fixture.connect();
  REQUIRE(hanging);
  REQUIRE(slow);
  bool answered = false;
  hanging->send(http::serialize(telemetry("a")), fixture.loop.now() + 3600s, [&](const auto&) { answered = true; });
  REQUIRE(run_until(fixture.loop, [&] { return fixture.cloud->records().size() == 1; }));
  CHECK(fixture.exchange(*slow, telemetry("b"))->status == 204);
  CHECK_FALSE(answered);
  CHECK(fixture.record(0, "message_id") == "a");
}

TEST_CASE("an outage ends connections, refuses new ones, and ends on the same port", "[support][cloud]") {
  CloudFixture fixture;
  const auto connection = fixture.connect();
  REQUIRE(connection);
  REQUIRE(fixture.exchange(*connection, telemetry("a"))->status == 204);
  const std::uint16_t port = fixture.cloud->port();

  fixture.cloud->go_down();
  CHECK(run_until(fixture.loop, [&] { return !connection->usable(); }));
  CHECK_FALSE(fixture.connect());
  CHECK(fixture.cloud->stats().down);

  REQUIRE(fixture.cloud->come_up());
  CHECK(fixture.cloud->port() == port);
  CHECK(fixture.send(telemetry("b")).status == 204);
  CHECK(fixture.cloud->stats().accepted == 2);
  CHECK(fixture.cloud->stats().answers.at(204) == 2);
}

TEST_CASE("the token endpoint gives out the token that telemetry needs", "[support][cloud]") {
  CloudFixture fixture;
  fixture.cloud->require_token("secret");
  http::Request request;
  request.method = "POST";
  request.target = "/tenant/oauth2/v2.0/token";
  request.headers = {{"Host", "localhost"}, {"Content-Type", "application/x-www-form-urlencoded"}};
  request.body =
      "grant_type=client_credentials&client_id=a&client_secret=b&scope=https%3A%2F%2Fdigitaltwins.azure.net%2F.default";
  const http::Response answer = fixture.send(request);
  CHECK(answer.status == 200);
  const auto document = json::Document::parse(answer.body);
  REQUIRE(document);
  CHECK(document->value("access_token") == "secret");
  CHECK(document->integer("expires_in") == 3599);
  request.body = "grant_type=password";
  CHECK(fixture.send(request).status == 400);
}

TEST_CASE("the control socket steers the cloud and tells what it saw", "[support][cloud]") {
  CloudFixture fixture;
  const auto control = StandInControl::start(fixture.loop, *fixture.cloud, fixture.directory.file("control.sock"));
  REQUIRE(control);
  const auto steer = [&](const std::string& method, const std::string& target) {
    std::optional<Result<std::unique_ptr<net::Stream>>> stream;
    const auto pending = net::connect_unix(fixture.loop, fixture.directory.file("control.sock"),
                                           [&](auto result) { stream = std::move(result); });
    REQUIRE(run_until(fixture.loop, [&] { return stream.has_value(); }));
    REQUIRE(*stream);
    http::ClientConnection connection(fixture.loop, std::move(**stream), http::ParserLimits{}, [] {});
    http::Request request;
    request.method = method;
    request.target = target;
    request.headers = {{"Host", "localhost"}};
    return fixture.exchange(connection, request).value_or(http::Response{});
  };

  CHECK(steer("POST", "/faults?steps=429&twin=valve").status == 204);
  CHECK(steer("DELETE", "/faults").status == 204);
  CHECK(steer("POST", "/faults?steps=429&twin=pump&code=Busy").status == 204);
  CHECK(error_code(fixture.send(telemetry("b"))) == "Busy");
  CHECK(steer("POST", "/missing?twin=ghost").status == 204);
  CHECK(fixture.send(telemetry("c", "ghost")).status == 404);
  CHECK(steer("DELETE", "/missing?twin=ghost").status == 204);
  CHECK(fixture.send(telemetry("d", "ghost")).status == 204);
  CHECK(steer("POST", "/down").status == 204);
  CHECK_FALSE(fixture.connect());
  CHECK(steer("POST", "/up").status == 204);
  CHECK(fixture.send(telemetry("e")).status == 204);

  const auto stats = json::Document::parse(steer("GET", "/stats").body);
  REQUIRE(stats);
  CHECK(stats->integer("accepted") == 2);
  CHECK(stats->integer("answers.429") == 1);
  CHECK(steer("GET", "/records?from=1").body.find(R"("message_id":"e")") != std::string::npos);
  CHECK(steer("GET", "/records?from=x").status == 400);
  CHECK(steer("POST", "/faults?steps=explode").status == 400);
  CHECK(steer("GET", "/nothing").status == 404);
}

}  // namespace twinspool::test

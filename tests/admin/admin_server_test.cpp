#include "admin/admin_server.h"

#include "admin/answers.h"
#include "http/client.h"
#include "support/catch.h"
#include "support/run_until.h"
#include "support/temp_dir.h"
#include "util/json.h"

namespace twinspool::admin {
namespace {

struct Operator {  // a daemon's admin socket, and somebody who asks
  Operator() : dir(), facts() {
    AdminConfig config;
    config.path = dir.file("admin.sock");
    config.group.clear();
    net::InheritedSockets inherited;
    auto listening = AdminServer::listen(loop, config, inherited, [this] { return facts; });
    REQUIRE(listening.has_value());
    server = std::move(*listening);
  }

  http::Response ask(const std::string& method, const std::string& target) {
    return ask(http::serialize(
        http::Request{.method = method, .target = target, .headers = {{"Host", "gateway"}}, .body = ""}));
  }

  http::Response ask(const std::string& bytes) {
    std::unique_ptr<net::Stream> stream;
    const auto pending =
        net::connect_unix(loop, dir.file("admin.sock"), [&](Result<std::unique_ptr<net::Stream>> connected) {
          REQUIRE(connected.has_value());
          stream = std::move(*connected);
        });
    REQUIRE(run_until(loop, [&] { return stream != nullptr; }));
    http::ClientConnection client(loop, std::move(stream), {}, [] {});
    std::optional<http::Response> answer;
    client.send(bytes, kNever, [&](Result<http::Response> response) {
      REQUIRE(response.has_value());
      answer = std::move(*response);
    });
    REQUIRE(run_until(loop, [&] { return answer.has_value(); }));
    return *answer;
  }

  TempDir dir;
  net::EventLoop loop;
  Facts facts;
  std::unique_ptr<AdminServer> server;
};

}  // namespace

TEST_CASE("an operator gets the status as JSON", "[admin][server]") {
  Operator op;
  op.facts.endpoint = "https://cloud.example";
  op.facts.spool.queued_messages = 7;
  const http::Response answer = op.ask("GET", "/status");
  CHECK(answer.status == 200);
  const auto status = json::Document::parse(answer.body);
  REQUIRE(status.has_value());
  CHECK(status->integer("queue.messages") == 7);
}

TEST_CASE("ready turns into 503 with the cause when the store takes nothing, live does not", "[admin][server]") {
  Operator op;
  CHECK(op.ask("GET", "/health/ready").status == 200);
  op.facts.spool.fault = "the disk failed";
  const http::Response answer = op.ask("GET", "/health/ready");
  CHECK(answer.status == 503);
  CHECK(answer.body.find("the disk failed") != std::string::npos);
  CHECK(op.ask("GET", "/health/live").status == 200);
}

TEST_CASE("what the admin socket does not have is 404, and a wrong method 405", "[admin][server]") {
  Operator op;
  CHECK(op.ask("GET", "/nothing").status == 404);
  const http::Response answer = op.ask("POST", "/status");
  CHECK(answer.status == 405);
  CHECK(answer.headers.get("Allow") == "GET");
}

TEST_CASE("a POST without a length, as curl sends it, is judged by its path", "[admin][server]") {
  Operator op;
  CHECK(op.ask("POST /status HTTP/1.1\r\nHost: gateway\r\n\r\n").status == 405);
  CHECK(op.ask("POST /nothing HTTP/1.1\r\nHost: gateway\r\n\r\n").status == 404);
}

TEST_CASE("a wired route answers when its component is done, and only to its method", "[admin][server]") {
  Operator op;
  AdminServer::Respond respond;
  net::Deferred component(op.loop, [&] { respond(json_response(200, "{\"kicked\":true}")); });
  op.server->route("POST", "/kick", [&](const http::Request&, AdminServer::Respond later) {
    respond = std::move(later);
    component.post();
  });
  const http::Response answer = op.ask("POST", "/kick?now");
  CHECK(answer.status == 200);
  CHECK(answer.body == "{\"kicked\":true}");
  CHECK(op.ask("GET", "/kick").status == 405);
  CHECK(op.ask("GET", "/nothing").body.find("POST /kick") != std::string::npos);
}

}  // namespace twinspool::admin

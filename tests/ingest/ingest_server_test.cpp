#include "ingest/ingest_server.h"

#include <memory>
#include <string>
#include <vector>

#include "http/parser.h"
#include "ingest/held_spool.h"
#include "support/catch.h"
#include "support/memory_stream.h"
#include "support/run_until.h"
#include "support/temp_dir.h"
#include "util/json.h"

namespace twinspool::ingest {
namespace {

std::string post(const std::string& id, const std::string& body = "{}", const std::string& more = "") {
  return "POST /digitaltwins/pump/telemetry?api-version=2023-10-31 HTTP/1.1\r\nHost: localhost\r\nMessage-Id: " + id +
         "\r\nContent-Type: application/json\r\n" + more + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

// One client on an in-process stream; everything runs by turns of a loop whose clock stands still.
struct Bench {
  explicit Bench(const IngestConfig& config = {}) { begin(config); }

  explicit Bench(const ListenConfig& socket) {
    net::InheritedSockets inherited;
    auto listening = IngestServer::listen(loop, {socket}, {}, spool, inherited);
    REQUIRE(listening);
    server = std::move(*listening);
    connect({.uid = 1000, .gid = 1000, .listener = 1});
  }

  void begin(const IngestConfig& config) {
    server = std::make_unique<IngestServer>(loop, config, spool);
    connect({});
  }
  void connect(const net::PeerCredentials& peer) {
    auto [ours, theirs] = MemoryStream::pair(loop);
    client = std::move(ours);
    client->start(wire);
    server->add(std::move(theirs), peer);
  }
  void send(const std::string& bytes) {
    client->write(bytes);
    turns();
  }
  void turns() { run_turns(loop, 12); }
  void commit(Receipt receipt) {
    spool.answer_next(receipt);
    turns();
  }
  void refuse(Refusal why, Duration retry_after) {
    spool.answer_next(tl::unexpected(Refused{.why = why, .what = "because", .retry_after = retry_after}));
    turns();
  }
  // The answers since the last call.
  std::vector<http::Response> answers() {
    std::vector<http::Response> all;
    http::ResponseParser parser({}, [&](http::Response&& response, bool) { all.push_back(std::move(response)); });
    parser.feed(wire.received);
    CHECK(parser.fault() == http::Fault::none);
    wire.received.clear();
    return all;
  }
  http::Response answer() {
    auto all = answers();
    REQUIRE(all.size() == 1);
    return all.front();
  }

  net::EventLoop loop{net::EventLoop::Clock::manual};
  HeldSpool spool;
  std::unique_ptr<IngestServer> server;
  RecordingObserver wire;
  std::unique_ptr<MemoryStream> client;
};

}  // namespace

TEST_CASE("there is no 204 before the commit", "[ingest][ingest_server]") {
  Bench bench;
  bench.send(post("m1"));
  REQUIRE(bench.spool.waiting() == 1);
  CHECK(bench.answers().empty());

  bench.commit({.sequence = 41});
  const http::Response response = bench.answer();
  CHECK(response.status == 204);
  CHECK(response.headers.get("Twinspool-Sequence") == "41");
  CHECK_FALSE(response.headers.get("Twinspool-Duplicate"));
  CHECK(bench.server->stats().answers.at(204) == 1);
  CHECK(bench.server->stats().accepted_bytes == 2);
  CHECK(bench.server->stats().connections == 1);
}

TEST_CASE("a duplicate is answered with the first one's sequence and says so", "[ingest][ingest_server]") {
  Bench bench;
  bench.send(post("m1"));
  bench.commit({.sequence = 7, .duplicate = true});
  const http::Response response = bench.answer();
  CHECK(response.status == 204);
  CHECK(response.headers.get("Twinspool-Sequence") == "7");
  CHECK(response.headers.get("Twinspool-Duplicate") == "true");
  CHECK(bench.server->stats().accepted_bytes == 0);
}

TEST_CASE("pipelined answers keep the order of their requests over refusals", "[ingest][ingest_server]") {
  Bench bench;
  bench.send(post("m1") + post("m2", "[]") + post("m3"));
  REQUIRE(bench.spool.waiting() == 2);
  CHECK(bench.answers().empty());
  bench.commit({.sequence = 1});
  bench.commit({.sequence = 2});
  const auto answers = bench.answers();
  REQUIRE(answers.size() == 3);
  CHECK(answers[0].headers.get("Twinspool-Sequence") == "1");
  CHECK(answers[1].status == 400);
  CHECK(answers[2].headers.get("Twinspool-Sequence") == "2");
}

TEST_CASE("each refusal of the spool has its status, and Retry-After where a retry can help",
          "[ingest][ingest_server]") {
  struct Case {
    Refusal why;
    int status;
    std::string_view code;
    bool retry;
  };
  const Case given = GENERATE(
      Case{Refusal::message_id_reused, 400, "InvalidArgument", false}, Case{Refusal::quota, 429, "QuotaExceeded", true},
      Case{Refusal::quota, 413, "PayloadTooLarge", false}, Case{Refusal::inbox_full, 503, "Unavailable", true},
      Case{Refusal::storage, 503, "Unavailable", true}, Case{Refusal::shutting_down, 503, "Unavailable", true},
      Case{Refusal::queue_full, 507, "InsufficientStorage", true},
      Case{Refusal::disk_full, 507, "InsufficientStorage", true});
  Bench bench;
  bench.send(post("m1"));
  bench.refuse(given.why, given.retry ? Duration(std::chrono::milliseconds(2001)) : Duration::zero());
  const http::Response response = bench.answer();
  CHECK(response.status == given.status);
  CHECK(response.headers.get("x-ms-error-code") == given.code);
  CHECK(response.headers.get("Retry-After").value_or("none") == (given.retry ? "3" : "none"));
  CHECK(json::Document::parse(response.body)->value("error.message") == "because");

  bench.send(post("m2"));  // on the same connection
  bench.commit({.sequence = 1});
  CHECK(bench.answer().status == 204);
}

TEST_CASE("a connection survives every refusal of a request", "[ingest][ingest_server]") {
  Bench bench;
  const std::string over(32769, ' ');
  for (const auto& [bytes, status] : std::vector<std::pair<std::string, int>>{
           {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404},
           {"GET /digitaltwins/t/telemetry HTTP/1.1\r\nHost: x\r\n\r\n", 405},
           {"POST /digitaltwins/t/telemetry HTTP/1.1\r\nHost: x\r\n\r\n", 411},
           {"POST /digitaltwins/t/telemetry HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 400},
           {post("m1", "[]"), 400},
           {post("m1", over), 413}}) {
    CAPTURE(status);
    bench.send(bytes);
    const http::Response response = bench.answer();
    CHECK(response.status == status);
    CHECK(response.headers.get("x-ms-error-code"));
    CHECK_FALSE(response.headers.get("Retry-After"));
  }
  CHECK(bench.spool.appended.empty());
  bench.send(post("m2"));
  CHECK(bench.spool.waiting() == 1);
}

TEST_CASE("a chunked body is measured while it comes", "[ingest][ingest_server]") {
  Bench bench;
  const std::string head =
      "POST /digitaltwins/pump/telemetry?api-version=2023-10-31 HTTP/1.1\r\nHost: x\r\nMessage-Id: m\r\n"
      "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  bench.send(head + "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
  REQUIRE(bench.spool.waiting() == 1);
  CHECK(bench.spool.appended.front().body == "{}");
  bench.commit({.sequence = 1});
  CHECK(bench.answer().status == 204);

  bench.send(head + "8001\r\n" + std::string(0x8001, ' ') + "\r\n0\r\n\r\n");
  const http::Response response = bench.answer();
  CHECK(response.status == 413);
  CHECK(response.body.find("32768") != std::string::npos);
}

TEST_CASE("lost framing is answered in the API's shape, then the connection ends", "[ingest][ingest_server]") {
  Bench bench;
  bench.send("no http at all\r\n\r\n");
  const http::Response response = bench.answer();
  CHECK(response.status == 400);
  CHECK(json::Document::parse(response.body)->value("error.code") == "BadRequest");
  CHECK(bench.wire.ends == 1);
}

TEST_CASE("a message without source time is stamped, unless a reload says otherwise", "[ingest][ingest_server]") {
  Bench bench;
  bench.send(post("m1"));
  CHECK(bench.spool.appended.at(0).source_time.size() == std::string("2026-11-23T20:20:41.123Z").size());
  bench.server->reconfigure({.source_time = SourceTimeRule::rfc3339, .stamp_source_time = false});
  bench.send(post("m2"));
  CHECK(bench.spool.appended.at(1).source_time.empty());
  bench.send(post("m3", "{}", "Telemetry-Source-Time: 01/01/01 0:00:00 +00:00\r\n"));
  CHECK(bench.spool.appended.size() == 2);
}

TEST_CASE("source times that are not RFC 3339 are kept and counted", "[ingest][ingest_server]") {
  Bench bench;
  bench.send(post("m1", "{}", "Telemetry-Source-Time: 01/01/01 0:00:00 +00:00\r\n"));
  bench.send(post("m2", "{}", "Telemetry-Source-Time: 2026-01-01T00:00:00Z\r\n"));
  CHECK(bench.spool.appended.at(0).source_time == "01/01/01 0:00:00 +00:00");
  CHECK(bench.server->stats().source_times_not_rfc3339 == 1);
}

TEST_CASE("a commit after the server's end touches nothing", "[ingest][ingest_server]") {
  Bench bench;
  bench.send(post("m1"));
  bench.server.reset();
  bench.commit({.sequence = 1});
  CHECK(bench.answers().empty());
}

TEST_CASE("draining answers what waits for its commit, refuses what is still coming, and only then is done",
          "[ingest][ingest_server]") {
  Bench bench;
  const std::string half = post("m2");
  bench.send(post("m1") + half.substr(0, half.size() - 1));
  bool done = false;
  bench.server->drain([&] { done = true; });
  bench.turns();
  CHECK_FALSE(done);
  bench.send(half.substr(half.size() - 1));
  CHECK(bench.spool.appended.size() == 1);
  bench.commit({.sequence = 1});
  const auto answers = bench.answers();
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].status == 204);
  CHECK(answers[1].status == 503);
  CHECK(answers[1].headers.get("Retry-After") == "1");
  bench.client->finish_writing();
  bench.turns();
  CHECK(done);
}

TEST_CASE("draining with nobody there is done on a later turn", "[ingest][ingest_server]") {
  Bench bench;
  bool done = false;
  bench.server->drain([&] { done = true; });
  CHECK_FALSE(done);
  bench.turns();
  CHECK(done);
}

namespace {

std::string batch(const std::string& body) {
  return "POST /telemetry:batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}
std::string line(const std::string& twin, const std::string& id) {
  return R"({"twin":")" + twin + R"(","messageId":")" + id + "\",\"telemetry\":{}}\n";
}

}  // namespace

TEST_CASE("a batch is answered with its counts once it is committed", "[ingest][ingest_server]") {
  Bench bench;
  bench.send(batch(line("pump", "a") + line("pump", "b") + line("valve", "c")));
  REQUIRE(bench.spool.batches.size() == 1);
  CHECK(bench.spool.appended.size() == 3);
  CHECK(bench.answers().empty());
  bench.spool.answer_batch(std::vector<Receipt>{{1, false}, {2, true}, {3, false}});
  bench.turns();
  const http::Response response = bench.answer();
  CHECK(response.status == 204);
  CHECK(response.headers.get("Twinspool-Accepted") == "2");
  CHECK(response.headers.get("Twinspool-Duplicates") == "1");
}

TEST_CASE("a batch with a reused id names the lines", "[ingest][ingest_server]") {
  Bench bench;
  bench.send(batch(line("pump", "a") + "\n" + line("pump", "b")));
  bench.spool.answer_batch(
      tl::unexpected(Refused{.why = Refusal::message_id_reused, .what = "because", .retry_after = {}, .which = {1}}));
  bench.turns();
  const http::Response response = bench.answer();
  CHECK(response.status == 400);
  const auto document = json::Document::parse(response.body);
  CHECK(document->integer("error.details.0.line") == 3);
  CHECK(document->value("error.details.0.innererror.code") == "MessageIdReused");
  CHECK(document->value("error.innererror.code") == "MessageIdReused");
}

TEST_CASE("batches that are under way together have a limit, single messages go on", "[ingest][ingest_server]") {
  Bench bench(IngestConfig{.batch_max = 64 * kKiB});
  const std::string full = line("pump", "a") + std::string(60 * kKiB, ' ');
  for (int i = 0; i < 4; ++i) bench.send(batch(full));
  CHECK(bench.spool.batches.size() == 4);
  bench.send(batch(full));
  CHECK(bench.spool.batches.size() == 4);
  bench.send(post("m"));
  for (int i = 0; i < 4; ++i) bench.spool.answer_batch(std::vector<Receipt>{{1, false}});
  bench.turns();
  auto answers = bench.answers();
  REQUIRE(answers.size() == 5);
  CHECK(answers[4].status == 503);
  CHECK(answers[4].headers.get("Retry-After") == "1");
  bench.send(batch(full));  // those before are answered
  CHECK(bench.spool.batches.size() == 1);
}

TEST_CASE("a batch over the limit is 413", "[ingest][ingest_server]") {
  Bench bench(IngestConfig{.batch_max = 64 * kKiB});
  bench.send(batch(std::string(64 * kKiB + 1, ' ')));
  CHECK(bench.answer().status == 413);
  bench.send(
      "POST /telemetry:batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
      "Transfer-Encoding: chunked\r\n\r\n10001\r\n" +
      std::string(0x10001, ' ') + "\r\n0\r\n\r\n");
  const http::Response response = bench.answer();
  CHECK(response.status == 413);
  CHECK(response.body.find("65536 bytes") != std::string::npos);
}

TEST_CASE("a socket's rules hold for everything that comes by it", "[ingest][ingest_server]") {
  const TempDir directory;
  ListenConfig socket{.path = directory.file("one.sock"), .group = ""};
  SECTION("twins") {
    socket.twins = {"pump*"};
    Bench bench(socket);
    bench.send(post("m1"));
    CHECK(bench.spool.waiting() == 1);
    CHECK(bench.spool.sources == std::vector<Source>{1});
    bench.commit({.sequence = 1});
    (void)bench.answers();
    bench.send(
        "POST /digitaltwins/valve/telemetry?api-version=2023-10-31 HTTP/1.1\r\nHost: x\r\nMessage-Id: m\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    const http::Response single = bench.answer();
    CHECK(single.status == 403);
    CHECK(single.body.find("of the twins pump*, and not of 'valve'") != std::string::npos);
    bench.send(batch(line("pump", "a") + line("valve", "b")));
    const http::Response many = bench.answer();
    CHECK(many.status == 403);
    CHECK(json::Document::parse(many.body)->integer("error.details.0.line") == 2);
    CHECK(bench.spool.batches.empty());
  }
  SECTION("peers") {
    socket.allow_users = {"4000000"};
    Bench bench(socket);
    bench.send(post("m1"));
    const http::Response response = bench.answer();
    CHECK(response.status == 403);
    CHECK_FALSE(response.headers.get("Retry-After"));
    CHECK(response.body.find("takes messages of user 4000000, and you are seen as uid 1000, gid 1000, pid 0") !=
          std::string::npos);
    bench.connect({.uid = 4000000, .gid = 1, .listener = 1});
    bench.send(post("m1"));
    CHECK(bench.spool.waiting() == 1);
  }
}

TEST_CASE("the API is served on every socket of the list", "[ingest][ingest_server]") {
  net::EventLoop loop;
  TempDir directory;
  HeldSpool spool;
  std::vector<ListenConfig> sockets(2);
  sockets[0] = {.path = directory.file("one.sock"), .group = ""};
  sockets[1] = {.path = directory.file("two.sock"), .group = ""};
  net::InheritedSockets inherited;
  auto server = IngestServer::listen(loop, sockets, {}, spool, inherited);
  REQUIRE(server);

  for (const ListenConfig& socket : sockets) {
    RecordingObserver wire;
    std::unique_ptr<net::Stream> client;
    const auto pending = net::connect_unix(
        loop, socket.path, [&](Result<std::unique_ptr<net::Stream>> stream) { client = std::move(*stream); });
    REQUIRE(run_until(loop, [&] { return client != nullptr; }));
    client->start(wire);
    client->write(post("m"));
    REQUIRE(run_until(loop, [&] { return spool.waiting() == 1; }));
    CHECK(wire.received.empty());
    spool.answer_next(Receipt{.sequence = 5});
    REQUIRE(run_until(loop, [&] { return wire.received.ends_with("\r\n\r\n"); }));
    CHECK(wire.received.starts_with("HTTP/1.1 204 "));
  }
  const auto second = IngestServer::listen(loop, sockets, {}, spool, inherited);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::busy);
}

}  // namespace twinspool::ingest

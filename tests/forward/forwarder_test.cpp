#include "forward/forwarder.h"

#include <deque>
#include <map>

#include "http/server.h"
#include "support/catch.h"
#include "support/fake_spool.h"
#include "support/memory_stream.h"
#include "support/run_until.h"

namespace twinspool::forward {
namespace {

// The cloud: answers as it is told, and remembers what it was sent.
class ScriptedServer final : public http::Server::Handler {
 public:
  explicit ScriptedServer(net::EventLoop& loop) : server(loop, {}, *this) {}

  struct Step {
    http::Response answer{.status = 204, .headers = {}, .body = {}};
    enum class Fault : std::uint8_t { none, reset, hang } fault = Fault::none;
  };
  struct Seen {
    std::string twin, message_id, authorization;
    http::ExchangeId exchange;
  };

  std::deque<Step> script;                        // for the next requests, whatever they are; then `by_twin`, then 204
  std::map<std::string, http::Response> by_twin;  // until erased
  bool hang_all = false;
  std::vector<Seen> seen;
  std::vector<http::ExchangeId> hanging;
  http::Server server;

  void next(int status, http::Headers headers = {}, std::string body = {}) {
    script.push_back({.answer = {.status = status, .headers = std::move(headers), .body = std::move(body)}});
  }
  void next(Step::Fault fault) { script.push_back({.answer = {}, .fault = fault}); }
  void answer_hanging() {
    for (const auto& exchange : std::exchange(hanging, {}))
      server.respond(exchange, {.status = 204, .headers = {}, .body = {}});
  }
  std::vector<std::string> ids(const std::string& twin = {}) const {
    std::vector<std::string> ids;
    for (const Seen& request : seen) {
      if (twin.empty() || request.twin == twin) ids.push_back(request.message_id);
    }
    return ids;
  }

 private:
  std::optional<http::Response> on_head(const http::Request&, const net::PeerCredentials&, std::size_t&) override {
    return {};
  }
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials&) override {
    const std::string prefix = "/digitaltwins/";
    const std::string twin =
        request.target.substr(prefix.size(), request.target.find('/', prefix.size()) - prefix.size());
    seen.push_back({twin, std::string(request.headers.get("message-id").value_or("")),
                    std::string(request.headers.get("authorization").value_or("")), exchange});
    Step step;
    if (!script.empty()) {
      step = std::move(script.front());
      script.pop_front();
    } else if (const auto found = by_twin.find(twin); found != by_twin.end()) {
      step.answer = found->second;
    } else if (hang_all) {
      step.fault = Step::Fault::hang;
    }
    switch (step.fault) {
      case Step::Fault::none:
        server.respond(exchange, step.answer);
        return;
      case Step::Fault::reset:
        server.abort(exchange);
        return;
      case Step::Fault::hang:
        hanging.push_back(exchange);
        return;
    }
  }
  http::Response on_fault(int status, const std::string& reason) override {
    return {.status = status, .headers = {}, .body = reason};
  }
};

using Fault = ScriptedServer::Step::Fault;

class MemoryDialer final : public Dialer {
 public:
  MemoryDialer(net::EventLoop& loop, http::Server& server) : loop_(loop), server_(server) {}

  bool works = true;
  std::size_t dials = 0;
  std::vector<MemoryStream*> server_ends;  // of every connection ever made; some are gone

  std::unique_ptr<net::Pending> dial(Dialed done) override {
    ++dials;
    return std::make_unique<Attempt>(*this, std::move(done));
  }

 private:
  struct Attempt final : net::Pending {
    Attempt(MemoryDialer& dialer, Dialed on_done)
        : done(std::move(on_done)), deferred(dialer.loop_, [this, &dialer] {
            if (!dialer.works) return done(fail(Errc::unreachable, "nobody is there"));
            auto [ours, theirs] = MemoryStream::pair(dialer.loop_);
            dialer.server_ends.push_back(theirs.get());
            dialer.server_.add(std::move(theirs), {});
            done(std::move(ours));
          }) {
      deferred.post();
    }
    Dialed done;
    net::Deferred deferred;
  };
  net::EventLoop& loop_;
  http::Server& server_;
};

struct FakeTokens final : TokenSource {
  std::string token;
  std::deque<std::string> renewed;  // what a refusal leads to
  std::optional<Error> error;
  int refusals = 0;
  void get(Got got) override {
    if (error) return got(tl::unexpected<Error>(*error));
    got(token);
  }
  void refused(const std::string& refused_token) override {
    CHECK(refused_token == token);
    ++refusals;
    if (renewed.empty()) return;
    token = renewed.front();
    renewed.pop_front();
  }
};

struct Fixture {
  net::EventLoop loop{net::EventLoop::Clock::manual};
  FakeSpool spool{loop};
  ScriptedServer cloud{loop};
  MemoryDialer dialer{loop, cloud.server};
  FakeTokens tokens;
  ForwardConfig config;
  Return manner = Return::at_once;  // time stands still in most tests
  const TimePoint began = loop.now();
  std::unique_ptr<Forwarder> forwarder;

  Fixture() {
    config.endpoint = "https://cloud.example";
    config.connections = 8;
    config.retry = {.initial = 1s, .max = 60s, .multiplier = 2, .retry_after_max = 1h};
  }

  Duration clock_set_by{};
  WallTime wall() const { return from_unix_ms(1'763'929'200'000 + to_ms(loop.now() - began + clock_set_by)); }
  std::int64_t wall_ms() const { return to_unix_ms(wall()); }
  void start() {
    forwarder = std::make_unique<Forwarder>(
        loop, spool, dialer, tokens, config,
        Forwarder::Options{.seed = 1, .wall_clock = [this] { return wall(); }, .paused_since = {}, .manner = manner});
    forwarder->start();
    turns();
  }
  void turns(int count = 60) { run_turns(loop, count); }
  void pass(Duration time) {
    loop.advance(time);
    turns();
  }
  // In steps, as a clock goes.
  void pass_by_seconds(int seconds) {
    for (int second = 0; second < seconds; ++second) {
      loop.advance(1s);
      run_turns(loop, 30);
    }
  }
  Forwarder::Stats stats() const { return forwarder->stats(); }
  std::uint64_t failures(FailureClass failure) const {
    return stats().totals.failures[static_cast<std::size_t>(failure)];
  }
};

const http::Headers kTwinMissing{{"x-ms-error-code", "DigitalTwinNotFound"}};
using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE_METHOD(Fixture, "what was committed before and after the start arrives, each twin in order",
                 "[forward][forwarder]") {
  for (int n = 0; n < 20; ++n) spool.add("pump", "p" + std::to_string(n));
  spool.add("valve", "v0");
  start();
  spool.arrive("valve", "v1");
  spool.arrive("fan", "f0");
  turns(400);
  Ids expected;
  for (int n = 0; n < 20; ++n) expected.push_back("p" + std::to_string(n));
  CHECK(cloud.ids("pump") == expected);
  CHECK(cloud.ids("valve") == Ids{"v0", "v1"});
  CHECK(cloud.ids("fan") == Ids{"f0"});
  CHECK(spool.rows() == 0);
  CHECK(stats().delivered == 23);
  CHECK(stats().state == Forwarder::State::idle);
  CHECK(stats().upstream == Forwarder::Upstream::up);
  CHECK(stats().last_status == 204);
}

TEST_CASE_METHOD(Fixture, "a fresh message goes from commit to wire without being read back", "[forward][forwarder]") {
  start();
  spool.arrive("pump", "1");
  turns();
  CHECK(cloud.ids() == Ids{"1"});
  CHECK(spool.reads == 0);
}

TEST_CASE_METHOD(Fixture, "after an outage little is sent at first, and what the rate allows next wakes the forwarder",
                 "[forward][forwarder]") {
  manner = Return::gentle;  // one in the first second, two in the next, ...
  for (int n = 0; n < 60; ++n) spool.add("twin-" + std::to_string(n), std::to_string(n));
  start();
  CHECK(cloud.seen.size() == 1);
  std::vector<std::size_t> sent;
  for (int second = 0; second < 4; ++second) {
    for (int step = 0; step < 100; ++step) pass(10ms);
    sent.push_back(cloud.seen.size());
  }
  CHECK(sent.at(0) <= 3);
  CHECK(sent.at(1) > sent.at(0));
  CHECK(sent.at(1) <= 6);
  CHECK(sent.at(2) <= 12);
  CHECK(sent.at(3) > 16);
  CHECK(sent.at(3) <= 24);
  pass_by_seconds(20);
  CHECK(spool.rows() == 0);
}

TEST_CASE_METHOD(Fixture, "at the start one request probes, then as many as double with each round",
                 "[forward][forwarder]") {
  for (int n = 0; n < 30; ++n) spool.add("twin" + std::to_string(n), std::to_string(n));
  cloud.hang_all = true;
  start();
  std::vector<std::size_t> rounds;
  for (int round = 0; round < 5; ++round) {
    rounds.push_back(cloud.hanging.size());
    cloud.answer_hanging();
    turns();
  }
  CHECK(rounds == std::vector<std::size_t>{1, 2, 4, 8, 8});
  CHECK(stats().connections == 8);
}

TEST_CASE_METHOD(Fixture, "while nobody answers one dial at a time is tried, and all arrives afterwards",
                 "[forward][forwarder]") {
  dialer.works = false;
  for (int n = 0; n < 10; ++n) spool.add("twin" + std::to_string(n), std::to_string(n));
  start();
  CHECK(dialer.dials == 1);
  CHECK(stats().state == Forwarder::State::waiting);
  CHECK(stats().why == "nobody is there");
  CHECK(stats().upstream == Forwarder::Upstream::down);
  pass_by_seconds(600);
  CHECK(dialer.dials > 5);
  CHECK(dialer.dials < 60);
  CHECK(failures(FailureClass::path) == dialer.dials);
  dialer.works = true;
  pass_by_seconds(61);
  CHECK(stats().delivered == 10);
  CHECK(cloud.seen.size() == 10);
}

TEST_CASE_METHOD(Fixture, "a kick skips the wait", "[forward][forwarder]") {
  dialer.works = false;
  spool.add("pump", "1");
  start();
  pass_by_seconds(300);
  dialer.works = true;
  forwarder->kick();
  turns();
  CHECK(stats().delivered == 1);
}

TEST_CASE_METHOD(Fixture, "an answer that never came leads to the same message again", "[forward][forwarder]") {
  spool.add("pump", "1");
  spool.add("pump", "2");
  SECTION("because the connection was reset") { cloud.next(Fault::reset); }
  SECTION("because of the time-out") { cloud.next(Fault::hang); }
  start();
  CHECK(cloud.ids() == Ids{"1"});
  pass_by_seconds(35);
  CHECK(cloud.ids() == Ids{"1", "1", "2"});
  CHECK(spool.finished.at(0).attempts == 2);
  CHECK(failures(FailureClass::path) + failures(FailureClass::timeout) == 1);
}

TEST_CASE_METHOD(Fixture, "a connection that the server closed while idle costs nothing", "[forward][forwarder]") {
  spool.add("pump", "1");
  start();
  SECTION("and is noticed before the next message") {
    dialer.server_ends.at(0)->fail({Errc::closed, "test"});
    turns();
    spool.arrive("pump", "2");
    turns();
    CHECK(dialer.dials == 2);
  }
  SECTION("or as the next message is sent on it") {
    cloud.next(Fault::reset);
    spool.arrive("pump", "2");
    turns();
  }
  CHECK(stats().delivered == 2);
  CHECK(failures(FailureClass::path) == 0);
  CHECK(stats().upstream == Forwarder::Upstream::up);
}

TEST_CASE_METHOD(Fixture, "a message that kills every connection does not get a free retry for ever",
                 "[forward][forwarder]") {
  spool.add("pump", "1");
  start();
  for (int n = 0; n < 4; ++n) cloud.next(Fault::reset);
  spool.arrive("pump", "2");
  turns();
  CHECK(cloud.ids() == Ids{"1", "2", "2"});
  CHECK(stats().state == Forwarder::State::waiting);
}

TEST_CASE_METHOD(Fixture, "a refused message goes to the quarantine and its twin goes on", "[forward][forwarder]") {
  spool.add("pump", "1");
  spool.add("pump", "2");
  cloud.next(400, {{"x-ms-error-code", "ValidationFailed"}}, R"({"error":{"code":"ValidationFailed","message":"no"}})");
  start();
  REQUIRE(spool.finished.size() == 2);
  CHECK(spool.finished[0].how == Finished::How::quarantined);
  CHECK(spool.finished[0].status == 400);
  CHECK(spool.finished[0].error_code == "ValidationFailed");
  CHECK(spool.finished[0].error_message == "no");
  CHECK(spool.finished[1].how == Finished::How::delivered);
  CHECK(stats().quarantined == 1);
}

TEST_CASE_METHOD(Fixture, "a message that cannot be sent unchanged goes to the quarantine unsent",
                 "[forward][forwarder]") {
  spool.add("pump", "1\r\nEvil: yes");
  spool.add("pump", "2");
  start();
  CHECK(cloud.ids() == Ids{"2"});
  CHECK(spool.finished.at(0).how == Finished::How::quarantined);
}

TEST_CASE_METHOD(Fixture, "what a limit of the queue has dropped is not sent, and its lane goes on",
                 "[forward][forwarder]") {
  SECTION("one at a time") { config.pipeline = 1; }
  SECTION("in a pipeline") { config.pipeline = 4; }
  for (int n = 1; n <= 6; ++n) spool.add("pump", std::to_string(n));
  cloud.hang_all = true;
  start();
  REQUIRE(cloud.ids() == Ids{"1"});  // the others are in memory
  for (const Sequence sequence : {2, 3, 5}) spool.drop(sequence);
  cloud.hang_all = false;
  cloud.answer_hanging();
  turns(200);
  CHECK(cloud.ids() == Ids{"1", "4", "6"});
  CHECK(spool.finished.size() == 3);
  CHECK(stats().state == Forwarder::State::idle);
  CHECK(stats().window_messages == 0);
}

TEST_CASE_METHOD(Fixture, "with a pipeline a twin's next messages go on the same connection without waiting",
                 "[forward][forwarder][pipeline]") {
  config.pipeline = 4;
  for (int n = 1; n <= 12; ++n) spool.add("pump", std::to_string(n));
  cloud.hang_all = true;
  start();
  for (int round = 0; round < 3; ++round) {  // the probe, then 2, then 4 at once
    CHECK(stats().in_flight == (std::size_t{1} << round));
    if (round < 2) cloud.answer_hanging();
    turns();
  }
  CHECK(dialer.dials == 1);
  CHECK(stats().lanes_in_flight == 1);
  cloud.hang_all = false;
  cloud.answer_hanging();
  turns(200);
  CHECK(cloud.ids() == Ids{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"});
  CHECK(stats().delivered == 12);
  CHECK(dialer.dials == 1);
}

TEST_CASE_METHOD(Fixture, "what a lost connection leaves unanswered of a pipeline is sent again in order",
                 "[forward][forwarder][pipeline]") {
  config.pipeline = 4;
  for (int n = 1; n <= 3; ++n) spool.add("pump", std::to_string(n));
  start();  // the ramp has gone past two
  REQUIRE(stats().delivered == 3);
  cloud.hang_all = true;
  for (int n = 4; n <= 6; ++n) spool.arrive("pump", std::to_string(n));
  turns();
  REQUIRE(stats().in_flight == 3);
  cloud.hang_all = false;
  cloud.hanging.clear();
  dialer.server_ends.at(0)->fail({Errc::closed, "test"});
  pass_by_seconds(61);
  CHECK(cloud.ids() == Ids{"1", "2", "3", "4", "5", "6", "4", "5", "6"});
  CHECK(stats().delivered == 6);
}

TEST_CASE_METHOD(Fixture, "of a pipeline only what is refused midway is late, and nothing is sent twice",
                 "[forward][forwarder][pipeline]") {
  config.pipeline = 4;
  for (int n = 1; n <= 3; ++n) spool.add("pump", std::to_string(n));
  start();
  REQUIRE(stats().delivered == 3);
  cloud.next(204);
  SECTION("by the twin's absence") { cloud.next(404, kTwinMissing); }
  SECTION("by a failure of the service") { cloud.next(500); }
  SECTION("by a throttle") { cloud.next(429, {{"Retry-After", "2"}}); }
  for (int n = 4; n <= 9; ++n) spool.arrive("pump", std::to_string(n));
  turns(200);
  CHECK(stats().delivered == 6);  // 4, and 6 and 7, which were under way behind 5
  CHECK(cloud.seen.size() == 7);
  pass_by_seconds(70);
  CHECK(cloud.ids() == Ids{"1", "2", "3", "4", "5", "6", "7", "5", "8", "9"});
  CHECK(stats().delivered == 9);
}

TEST_CASE_METHOD(Fixture, "a server that closes after each answer costs a pipeline no backoff",
                 "[forward][forwarder][pipeline]") {
  config.pipeline = 4;
  for (int n = 1; n <= 12; ++n) cloud.next(204, {{"Connection", "close"}});
  for (int n = 1; n <= 12; ++n) spool.add("pump", std::to_string(n));
  start();
  turns(600);  // and no time passes
  CHECK(stats().delivered == 12);
  CHECK(failures(FailureClass::path) == 0);
  Sequence newest = 0;
  for (const Finished& left : spool.finished) {
    CHECK(left.sequence > newest);
    newest = left.sequence;
  }
}

TEST_CASE_METHOD(Fixture, "forward.rate holds a backlog back", "[forward][forwarder][rate]") {
  config.rate.messages = 10;
  SECTION("one at a time for each twin") { config.pipeline = 1; }
  SECTION("with a pipeline, too") { config.pipeline = 4; }
  for (int n = 0; n < 200; ++n) spool.add("twin" + std::to_string(n % 5), std::to_string(n));
  start();
  pass_by_seconds(1);
  for (int step = 0; step < 1000; ++step) {
    loop.advance(10ms);
    run_turns(loop, 12);
  }
  CHECK(stats().delivered >= 95);
  CHECK(stats().delivered <= 115);
  CHECK(stats().state == Forwarder::State::delivering);
}

TEST_CASE_METHOD(Fixture, "one held twin in a hundred costs the others no request and no connection",
                 "[forward][forwarder]") {
  cloud.by_twin["ghost"] = {.status = 404, .headers = kTwinMissing, .body = {}};
  start();
  int sent = 0;
  for (int round = 0; round < 20; ++round) {
    spool.arrive("ghost", "g" + std::to_string(round));
    for (int twin = 1; twin < 100; ++twin, ++sent)
      spool.arrive("twin" + std::to_string(twin), "m" + std::to_string(round));
    turns(200);
    CHECK(stats().delivered == static_cast<std::uint64_t>(sent));  // none of them waited, though no time has passed
  }
  CHECK(stats().lanes_held == 1);
  CHECK(cloud.ids("ghost").size() == 1);
}

TEST_CASE_METHOD(Fixture, "a twin that does not exist waits alone, and flows once it does", "[forward][forwarder]") {
  cloud.by_twin["ghost"] = {.status = 404, .headers = kTwinMissing, .body = {}};
  spool.add("ghost", "g1");
  spool.add("pump", "p1");
  spool.add("ghost", "g2");
  spool.add("pump", "p2");
  start();
  CHECK(cloud.ids("pump") == Ids{"p1", "p2"});
  CHECK(stats().lanes_held == 1);
  CHECK(stats().state == Forwarder::State::waiting);
  CHECK(stats().upstream == Forwarder::Upstream::up);
  const auto waiting = forwarder->waiting_lanes(10);
  REQUIRE(waiting.size() == 1);
  CHECK(waiting[0].held);
  CHECK(waiting[0].status == 404);
  CHECK(waiting[0].error_code == "DigitalTwinNotFound");
  CHECK(waiting[0].failures >= 1);
  REQUIRE(spool.notes.size() == 1);
  CHECK(spool.notes[0].state == "held");
  CHECK(spool.notes[0].status == 404);
  CHECK(spool.notes[0].since_ms == wall_ms());
  CHECK(spool.notes[0].retry_at_ms >= wall_ms());
  pass_by_seconds(3600);
  CHECK(cloud.ids("ghost").size() > 30);
  cloud.by_twin.clear();
  pass_by_seconds(61);
  CHECK(cloud.ids("ghost").back() == "g2");
  CHECK(spool.rows() == 0);
  CHECK(spool.notes.back().state.empty());
}

TEST_CASE_METHOD(Fixture, "after not_found_hold a message goes to the quarantine, a younger one has its own time",
                 "[forward][forwarder]") {
  config.not_found_hold = 2h;
  cloud.by_twin["ghost"] = {.status = 404, .headers = kTwinMissing, .body = {}};
  spool.add("ghost", "g1", wall_ms());
  spool.add("ghost", "g2", wall_ms());
  start();
  pass_by_seconds(7100);
  CHECK(spool.finished.empty());
  spool.arrive("ghost", "g3", wall_ms());
  pass_by_seconds(200);
  REQUIRE(spool.finished.size() == 2);
  CHECK(spool.finished[0].how == Finished::How::quarantined);
  CHECK(spool.finished[0].error_message.find("the twin did not exist for 2h") == 0);
  CHECK(spool.rows() == 1);
}

TEST_CASE_METHOD(Fixture, "the time that a lane was held before a restart counts", "[forward][forwarder]") {
  cloud.by_twin["ghost"] = {.status = 404, .headers = kTwinMissing, .body = {}};
  const std::int64_t day_ms = 24 * 3600 * 1000;
  spool.add("ghost", "g1", wall_ms() - 2 * day_ms);
  std::int64_t since_ms = wall_ms() - day_ms - 1;
  bool quarantined = true;
  SECTION("all of it") {}
  SECTION("less than the hold") {
    since_ms = wall_ms() - day_ms + 60'000;
    quarantined = false;
  }
  SECTION("but not what a clock noted that was not set") {
    since_ms = 5000;
    quarantined = false;
  }
  spool.note_lane({.twin = spool.number_of("ghost"), .state = "held", .since_ms = since_ms, .error_code = {}});
  start();
  CHECK(stats().quarantined == (quarantined ? 1 : 0));
}

TEST_CASE_METHOD(Fixture, "a clock that was set does not make the next start believe in months of waiting",
                 "[forward][forwarder]") {
  cloud.by_twin["ghost"] = {.status = 404, .headers = kTwinMissing, .body = {}};
  spool.add("ghost", "g1", wall_ms());
  start();
  const std::int64_t began_ms = wall_ms();
  pass_by_seconds(600);
  CHECK(spool.notes.back().since_ms == began_ms);
  clock_set_by = std::chrono::hours(24 * 90);
  pass_by_seconds(120);
  CHECK(spool.notes.back().since_ms == began_ms + to_ms(clock_set_by));
  const std::size_t notes = spool.notes.size();
  pass_by_seconds(120);
  CHECK(spool.notes.size() <= notes + 1);  // not again each time
}

TEST_CASE_METHOD(Fixture, "a note of an earlier process ends with a delivery, or with the queue",
                 "[forward][forwarder]") {
  spool.note_lane({.twin = spool.number_of("pump"), .state = "held", .error_code = {}});
  spool.note_lane({.twin = spool.number_of("gone"), .state = "retrying", .error_code = {}});
  spool.notes.clear();
  spool.add("pump", "1");
  start();
  REQUIRE(spool.notes.size() == 2);
  CHECK(spool.notes[0].twin == spool.number_of("pump"));
  CHECK(spool.notes[0].state.empty());
  CHECK(spool.notes[1].twin == spool.number_of("gone"));
}

TEST_CASE_METHOD(Fixture, "a failure of the service makes one twin wait", "[forward][forwarder]") {
  cloud.by_twin["poison"] = {.status = 500, .headers = {}, .body = {}};
  spool.add("poison", "x");
  spool.add("pump", "1");
  start();
  CHECK(cloud.ids("pump") == Ids{"1"});
  CHECK(stats().lanes_retrying == 1);
  CHECK(failures(FailureClass::service) == 1);
  cloud.by_twin.clear();
  pass_by_seconds(5);
  CHECK(spool.rows() == 0);
}

TEST_CASE_METHOD(Fixture, "a throttling answer pauses the whole endpoint for as long as it asks",
                 "[forward][forwarder]") {
  const int status = GENERATE(429, 503);
  spool.add("pump", "1");
  spool.add("valve", "2");
  cloud.next(status, {{"Retry-After", "30"}});
  start();
  CHECK(stats().state == Forwarder::State::waiting);
  CHECK(stats().retry_in >= 30s);
  pass(29s);
  CHECK(cloud.seen.size() == 1);
  pass_by_seconds(32);  // as long as it asked, and up to as much again
  CHECK(cloud.ids() == Ids{"1", "1", "2"});
}

TEST_CASE_METHOD(Fixture, "a refused token is renewed once at once", "[forward][forwarder]") {
  tokens.token = "old";
  spool.add("pump", "1");
  cloud.next(401);
  SECTION("and the new one is sent") {
    tokens.renewed = {"new"};
    start();
    REQUIRE(cloud.seen.size() == 2);
    CHECK(cloud.seen[0].authorization == "Bearer old");
    CHECK(cloud.seen[1].authorization == "Bearer new");
    CHECK(stats().delivered == 1);
    CHECK(failures(FailureClass::token) == 1);
  }
  SECTION("and then the queue waits") {
    cloud.next(401);
    start();
    CHECK(cloud.seen.size() == 2);
    CHECK(tokens.refusals == 2);
    CHECK(stats().state == Forwarder::State::waiting);
    CHECK(stats().why.find("HTTP 401") == 0);
    CHECK(stats().why.find("old") == std::string::npos);
    pass_by_seconds(3);
    CHECK(stats().delivered == 1);
  }
}

TEST_CASE_METHOD(Fixture, "without a token nothing is sent, nothing is lost, and it is said why",
                 "[forward][forwarder]") {
  tokens.error = Error{Errc::invalid, "token file /x: it is empty"};
  spool.add("pump", "1");
  start();
  CHECK(dialer.dials == 0);
  CHECK(stats().why == "no token: token file /x: it is empty");
  tokens.error.reset();
  pass_by_seconds(3);
  CHECK(stats().delivered == 1);
}

TEST_CASE_METHOD(Fixture, "an endpoint that refuses everybody holds everything and is probed slowly",
                 "[forward][forwarder]") {
  const auto answer =
      GENERATE(as<http::Response>{}, http::Response{.status = 403, .headers = {}, .body = {}},
               http::Response{.status = 404, .headers = {}, .body = {}},
               http::Response{.status = 302, .headers = {{"Location", "https://portal/"}}, .body = {}},
               http::Response{.status = 200, .headers = {{"Content-Type", "text/html"}}, .body = "<html>"});
  for (const char* twin : {"a", "b", "c"}) {
    spool.add(twin, twin);
    cloud.by_twin[twin] = answer;
  }
  start();
  pass_by_seconds(600);
  CHECK(cloud.seen.size() >= 10);
  CHECK(cloud.seen.size() <= 21);
  CHECK(spool.finished.empty());
  CHECK(stats().upstream == Forwarder::Upstream::down);
  cloud.by_twin.clear();
  pass_by_seconds(61);
  CHECK(stats().delivered == 3);
}

TEST_CASE_METHOD(Fixture, "what is not recorded yet bounds what is sent", "[forward][forwarder]") {
  spool.commits_by_itself = false;
  for (int n = 0; n < 600; ++n) spool.add("twin" + std::to_string(n), std::to_string(n));
  start();
  turns(2000);
  CHECK(cloud.seen.size() == config.connections + kUnrecordedMax);
  CHECK(stats().state == Forwarder::State::waiting);
  spool.commit();
  turns(2000);
  CHECK(cloud.seen.size() == 2 * (config.connections + kUnrecordedMax));
}

TEST_CASE_METHOD(Fixture, "a paused forwarder sends nothing until it is resumed", "[forward][forwarder]") {
  start();
  forwarder->pause(wall());
  turns();
  spool.arrive("pump", "1");
  pass(10s);
  CHECK(cloud.seen.empty());
  CHECK(stats().state == Forwarder::State::paused);
  forwarder->resume();
  turns();
  CHECK(stats().delivered == 1);
}

TEST_CASE_METHOD(Fixture, "stopping waits for what is in flight and begins nothing", "[forward][forwarder]") {
  spool.add("pump", "1");
  spool.add("pump", "2");
  cloud.hang_all = true;
  start();
  bool stopped = false;
  forwarder->stop([&] { stopped = true; });
  turns();
  CHECK_FALSE(stopped);
  SECTION("and hands it over") {
    cloud.answer_hanging();
    turns();
    CHECK(stopped);
    CHECK(spool.finished.size() == 1);
  }
  SECTION("but not for ever") {
    pass(kStopGraceMax);
    CHECK(stopped);
    CHECK(spool.finished.empty());
  }
  CHECK(cloud.seen.size() == 1);
}

TEST_CASE_METHOD(Fixture, "stopping with nothing in flight is done on a later turn", "[forward][forwarder]") {
  start();
  bool stopped = false;
  forwarder->stop([&] { stopped = true; });
  CHECK_FALSE(stopped);
  turns();
  CHECK(stopped);
}

TEST_CASE_METHOD(Fixture, "the next forwarder sends what this one left, and nothing twice that it had delivered",
                 "[forward][forwarder]") {
  spool.commits_by_itself = false;
  for (int n = 0; n < 4; ++n) spool.add("pump", std::to_string(n));
  cloud.next(204);
  cloud.next(503, {{"Retry-After", "60"}});
  start();
  forwarder->stop([] {});
  turns();
  forwarder.reset();
  spool.arrive("pump", "4");
  turns();
  start();
  CHECK(cloud.seen.size() == 2);  // what was delivered is not recorded yet
  spool.commit();
  spool.commits_by_itself = true;
  turns(200);
  CHECK(cloud.ids() == Ids{"0", "1", "1", "2", "3", "4"});
}

TEST_CASE_METHOD(Fixture, "a forwarder may end with reads, dials and requests under way", "[forward][forwarder]") {
  for (int n = 0; n < 30; ++n) spool.add("twin" + std::to_string(n), std::to_string(n));
  cloud.hang_all = true;
  forwarder = std::make_unique<Forwarder>(loop, spool, dialer, tokens, config, std::uint64_t{1});
  forwarder->start();
  const int count = GENERATE(range(0, 25));
  turns(count);
  forwarder.reset();
  turns();
  SUCCEED();
}

TEST_CASE_METHOD(Fixture, "idle connections are closed, and nothing ticks afterwards", "[forward][forwarder]") {
  spool.add("pump", "1");
  start();
  CHECK(stats().connections == 1);
  pass(kIdleConnectionMax);
  CHECK(stats().connections == 0);
  cloud.seen.clear();
  turns();
  spool.arrive("pump", "2");
  turns();
  CHECK(cloud.ids() == Ids{"2"});
}

TEST_CASE_METHOD(Fixture, "a read that fails is tried again a second later", "[forward][forwarder]") {
  spool.reads_fail = true;
  spool.add("pump", "1");
  start();
  CHECK(spool.reads == 1);
  spool.reads_fail = false;
  pass(1s);
  CHECK(stats().delivered == 1);
}

TEST_CASE_METHOD(Fixture, "in queue order the second message waits for the first one's answer",
                 "[forward][forwarder]") {
  config.order = ForwardOrder::queue;
  cloud.by_twin["ghost"] = {.status = 404, .headers = kTwinMissing, .body = {}};
  spool.add("pump", "1");
  spool.add("ghost", "2");
  spool.add("valve", "3");
  start();
  CHECK(cloud.ids() == Ids{"1", "2"});
  cloud.by_twin.clear();
  pass_by_seconds(5);
  CHECK(cloud.ids().back() == "3");
  CHECK(stats().delivered == 3);
}

}  // namespace twinspool::forward

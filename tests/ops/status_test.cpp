#include "ops/status.h"

#include <sstream>
#include <string>
#include <vector>

#include "support/catch.h"

using namespace twinspool;
using ops::Colour;

namespace {

json::Document document(const std::string& text) {
  auto parsed = json::Document::parse(text);
  if (!parsed) FAIL(parsed.error().what);
  return *parsed;
}

std::string status(const std::string& state, const std::string& why) {
  return R"({"version":"0.1.0","state":")" + state + R"(","why":")" + why + R"(","since":"2026-11-23T20:20:41.123Z",
"pid":4711,"uptime_seconds":303.5,
"queue":{"messages":1234567,"bytes":3355443,"capacity_bytes":33554432,"oldest_sequence":17,
 "oldest_at":"2026-11-23T16:00:00.000Z","oldest_age_seconds":15041.2},
"totals":{"accepted":2000000,"duplicates":12,"delivered":765000,"quarantined":3,"dropped":5},"quarantine":{"messages":3},
"forecast":{"drain_eta_seconds":null,"time_to_full_seconds":3600.0,"arrivals_per_second":42.0,
 "departures_per_second":0.0},
"upstream":{"endpoint":"https://plant.example","state":"down","why":"connection refused","retry_in_seconds":12.5,
 "last_status":503,"connections":4,"in_flight":2},
"lanes":{"ready":5,"in_flight":2,"waiting":1,"held":9},
"store":{"path":"/var/lib/twinspool/queue.db","file_bytes":12582912,"wal_bytes":512,"disk_free_bytes":33285996544,
 "commit_typical_ms":2.14,"fault":"","closed_by_space":false},
"ingest":{"connections":6,"requests":[{"code":204,"count":2000000},{"code":400,"count":3}]},"clock":{"synchronized":true}})";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

void check_fits(const std::string& text) {
  const auto lines = lines_of(text);
  INFO(text);
  CHECK(lines.size() <= 24);
  for (const std::string& line : lines) CHECK(line.size() <= 80);  // ASCII in these tests
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the token's state is shown where the cloud wants one, and its error where the reason does not have it",
          "[ops][status]") {
  const auto with_token = [](const std::string& why, const std::string& token) {
    std::string text = status("waiting", why);
    text.insert(text.find("\"store\":"), "\"token\":" + token + ",");
    return render_status(document(text), Colour::off);
  };
  CHECK_FALSE(has(with_token("x", R"({"kind":"none","state":"none"})"), "Token"));
  const std::string failing = R"({"kind":"client_secret","state":"failing","expires_in_seconds":null,)"
                              R"("next_fetch_in_seconds":31.0,"last_error":"AADSTS7000215"})";
  CHECK(has(with_token("x", failing),
            "Token       client_secret, failing, next fetch in 31s\n            AADSTS7000215\n"));
  CHECK_FALSE(has(with_token("no token: AADSTS7000215", failing), "            AADSTS7000215"));
  check_fits(with_token("x", failing));
}

TEST_CASE("the status says what an operator asks", "[ops][status]") {
  const std::string text = render_status(document(status("waiting", "no route to the cloud")), Colour::off);
  INFO(text);
  CHECK(has(text, "twinspool   0.1.0, pid 4711, up 5m 3s\n"));
  CHECK(has(text, "State       waiting since 2026-11-23 20:20:41 UTC\n"));
  CHECK(has(text, "Why         no route to the cloud\n"));
  CHECK(has(text, "1,234,567 messages, 3.2 MiB of 32.0 MiB (10%)"));
  CHECK(has(text, "sequence 17, waiting for 4h 10m (since 2026-11-23 16:00:00 UTC)"));
  CHECK(has(text, "Forecast    full in about 1h (0/s go out, 42/s come in)\n"));
  CHECK(has(text, "765,000 of 2,000,000 accepted (12 duplicates)\n"));
  CHECK(has(text, "Dropped     5 messages, by store.max_age or store.when_full\n"));
  CHECK(has(text, "Quarantine  3 messages: twinspool quarantine list, then retry or purge\n"));
  CHECK(has(text, "https://plant.example\n"));
  CHECK(has(text, "down, last answer 503, 4 connections, 2 in flight, next try in 12.5s"));
  CHECK(has(text, "connection refused"));
  CHECK(has(text, "5 ready, 2 in flight, 1 waiting to retry, 9 held"));
  CHECK(has(text, "31.0 GiB free; queue 12.0 MiB + log 512 bytes; a commit takes 2.1 ms"));
  CHECK(has(text, "6 connections; answers 204: 2,000,000, 400: 3"));
  CHECK(has(text, "Clock       synchronized"));
  check_fits(text);
}

TEST_CASE("long reasons are broken and cut to fit the screen", "[ops][status]") {
  std::string why;
  for (int i = 0; i < 100; ++i) why += "because ";
  const std::string text = render_status(document(status("degraded", why + std::string(500, 'x'))), Colour::off);
  check_fits(text);
  CHECK(has(text, "Why         because because"));
  CHECK(has(text, "...\n"));
  check_fits(render_status(document(status(std::string(300, 's'), std::string(300, 'x'))), Colour::off));
}

TEST_CASE("a document without figures is shown with question marks, not refused", "[ops][status]") {
  for (const char* text :
       {"{}", "[]", "{\"queue\":7}", "{\"uptime_seconds\":1e999,\"queue\":{\"messages\":-1,\"bytes\":\"x\"}}"}) {
    const std::string shown = render_status(document(text), Colour::off);
    CHECK(has(shown, "?"));
    check_fits(shown);
  }
}

TEST_CASE("nothing in the document reaches the terminal as a command", "[ops][status]") {
  const std::string text = render_status(document(status("waiting", "\\u001b[2J\\u009b\\n\\u0007x")), Colour::off);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\x07') == std::string::npos);
  CHECK(has(text, "Why         ?[2J???x\n"));
}

TEST_CASE("colour is used only where asked for, and for the state", "[ops][status]") {
  CHECK(has(render_status(document(status("delivering", "")), Colour::on), "\033[1;32mdelivering\033[0m since"));
  CHECK(has(render_status(document(status("degraded", "x")), Colour::on), "\033[1;31mdegraded\033[0m"));
  CHECK_FALSE(has(render_status(document(status("delivering", "")), Colour::off), "\033"));
  CHECK_FALSE(has(render_status(document(status("delivering", "")), Colour::off), "Why"));
}

TEST_CASE("faults of disk and clock are told", "[ops][status]") {
  std::string text = status("idle", "");
  text.replace(text.find("\"fault\":\"\""), 10, "\"fault\":\"write failed: I/O error\"");
  text.replace(text.find("\"closed_by_space\":false"), 23, "\"closed_by_space\":true ");
  text.replace(text.find("\"synchronized\":true"), 19, "\"synchronized\":false");
  const std::string shown = render_status(document(text), Colour::off);
  CHECK(has(shown, "Fault       write failed: I/O error"));
  CHECK(has(shown, "FULL: senders get 507"));
  CHECK(has(shown, "NOT known to be synchronized"));
  check_fits(shown);
}

TEST_CASE("however much is wrong at once, 24 lines hold it, and the last says where the rest is", "[ops][status]") {
  std::string text = status("degraded", std::string(400, 'w'));
  text.replace(text.find("\"fault\":\"\""), 10, "\"fault\":\"" + std::string(400, 'f') + "\",\"wal_held_by_pid\":7");
  text.replace(text.find("\"closed_by_space\":false"), 23, "\"closed_by_space\":true ");
  text.replace(text.find("connection refused"), 18, std::string(400, 'u'));
  text.insert(text.find("\"store\":"), "\"token\":{\"kind\":\"client_secret\",\"state\":\"failing\",\"last_error\":\"" +
                                           std::string(400, 't') + "\"},");
  const std::string shown = render_status(document(text), Colour::off);
  check_fits(shown);
  CHECK(lines_of(shown).size() == 24);
  CHECK(has(shown, "twinspool status --json has the rest"));
}

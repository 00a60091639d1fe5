#include "spool/queue_reader.h"

#include "spool/fixture.h"
#include "spool/read_thread.h"
#include "support/catch.h"

namespace twinspool {
namespace {

using namespace std::chrono_literals;

template <class Ask>
auto ask(const TestSpool& store, Ask question) {
  Result<sqlite::Database> reader = open_for_questions(store.config.path);
  ENSURE(reader);
  auto answer = question(*reader);
  ENSURE(answer);
  return *answer;
}

QueueSlice slice(const TestSpool& store, const QueueQuestion& question) {
  return ask(store, [&](sqlite::Database& reader) { return read_queue(reader, question); });
}

std::vector<Sequence> sequences(const auto& messages) {
  std::vector<Sequence> all;
  for (const auto& message : messages) all.push_back(message.sequence);
  return all;
}

using Sequences = std::vector<Sequence>;

}  // namespace

TEST_CASE("a slice ends at its limit of messages, bytes or rows, and the next one goes on behind it",
          "[spool][queue_reader]") {
  TestSpool store;
  store.open();
  for (int n = 1; n <= 5; ++n) store.append(telemetry(n == 3 ? "valve" : "pump", std::to_string(n)));

  QueueSlice found = slice(store, {.messages_max = 2});
  CHECK(sequences(found.messages) == Sequences{1, 2});
  CHECK_FALSE(found.reached_end);
  found = slice(store, {.after = found.scanned_through, .messages_max = 10});
  CHECK(sequences(found.messages) == Sequences{3, 4, 5});
  CHECK(found.reached_end);
  CHECK(sequences(slice(store, {.bytes_max = 1}).messages) == Sequences{1});

  found = slice(store, {.twins = {"valve"}, .rows_scanned_max = 2});
  CHECK(found.messages.empty());
  CHECK(found.scanned_through == 2);
  CHECK_FALSE(found.reached_end);
  CHECK(sequences(slice(store, {.after = 2, .twins = {"no%2Fsuch", "valve"}}).messages) == Sequences{3});
  CHECK(slice(store, {.twins = {"nobody"}}).reached_end);
}

TEST_CASE("a message is shown as it was accepted, and a damaged row says so", "[spool][queue_reader]") {
  TestSpool store;
  store.open();
  Telemetry sent = telemetry("pump%2F1", "a", "{ \"t\": 1.0 }");
  sent.component = "motor";
  sent.traceparent = "00-1";
  sent.tracestate = "k=v";
  store.append(sent);
  QueuedMessage shown = slice(store, {}).messages.at(0);
  CHECK(shown.telemetry == sent);
  CHECK(shown.accepted_ms == store.clocks.wall_ms);
  CHECK(shown.bytes == weight(sent));
  CHECK(shown.sound);

  auto vandal = sqlite::Database::open(store.config.path, sqlite::Database::Mode::read_write);
  ENSURE(vandal && vandal->execute("UPDATE messages SET body = '{ \"t\": 9.0 }'"));
  CHECK_FALSE(slice(store, {}).messages.at(0).sound);
}

TEST_CASE("a message that left is found by its sequence, with its body where that is kept", "[spool][queue_reader]") {
  TestSpool store;
  store.config.keep_delivered = 1h;
  store.open();
  store.append(telemetry("pump", "a", "{\"n\":1}"));
  store.append(telemetry("pump", "b"));
  store.deliver(1);
  store.quarantine(2);
  const auto left = [&](Sequence sequence) {
    return ask(store, [&](sqlite::Database& reader) { return find_left(reader, sequence); });
  };
  CHECK(left(1)->outcome == "delivered");
  CHECK(left(1)->status == 204);
  CHECK(left(1)->kept);
  CHECK(left(1)->telemetry == telemetry("pump", "a", "{\"n\":1}"));
  CHECK(left(2)->outcome == "quarantined");
  CHECK_FALSE(left(2)->kept);
  CHECK(left(2)->telemetry.message_id == "b");
  CHECK_FALSE(left(3).has_value());
}

TEST_CASE("newcomers are told once each, in order, also those that were delivered meanwhile", "[spool][queue_reader]") {
  TestSpool store;
  store.open();
  store.append(telemetry("pump", "old"));
  NewcomerReader reader(3);
  const auto next = [&](std::size_t show = 0) {
    return ask(store, [&](sqlite::Database& database) { return reader.next(database, show); });
  };
  CHECK(next().messages.empty());
  store.append(telemetry("pump", "a"));
  store.append(telemetry("pump", "b"));
  store.deliver(1);
  store.deliver(2);
  const Newcomers found = next();
  REQUIRE(sequences(found.messages) == Sequences{2, 3});
  CHECK(found.messages[0].state == "delivered");
  CHECK(found.messages[0].telemetry.message_id == "a");
  CHECK(found.messages[1].state == "queued");
  CHECK(found.messages[1].telemetry.body == "{\"t\":1}");
  store.deliver(3);
  CHECK(next().messages.empty());

  for (int n = 0; n < 10; ++n) store.append(telemetry("pump", "burst-" + std::to_string(n)));
  const Newcomers burst = next();
  CHECK(burst.passed_over == 7);
  CHECK(sequences(burst.messages) == Sequences{11, 12, 13});

  NewcomerReader later(10);
  CHECK(sequences(ask(store, [&](sqlite::Database& database) { return later.next(database, 2); }).messages) ==
        Sequences{12, 13});
}

}  // namespace twinspool

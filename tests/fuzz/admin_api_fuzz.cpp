// Any bytes on the admin socket (first byte even) or at admin.http (odd): every request gets a well-formed answer, the
// same however its bytes arrive, the connection comes to its end, and by TCP nothing is changed. The whole way: parser,
// guard, routes, look-ups in a small store on their thread.
#include <thread>

#include "admin/admin_server.h"
#include "admin/history.h"
#include "admin/lane_routes.h"
#include "admin/message_routes.h"
#include "http/parser.h"
#include "spool/fixture.h"
#include "support/fake_spool.h"
#include "support/memory_stream.h"
#include "util/json.h"
#include "util/log.h"

namespace {

using namespace twinspool;
using namespace std::chrono_literals;

constexpr Duration kAnswerTimeMax = 20s;  // real time; look-ups take milliseconds

// One message that waits, one delivered, one in the quarantine.
void fill(TestSpool& store) {
  store.open();
  for (const char* id : {"one", "two", "three"}) ENSURE(store.append(telemetry("pump", id)));
  store.deliver(1);
  store.quarantine(2);
}

class Admin {
 public:
  Admin() {
    log::set_level(log::Level::error);
    fill(store_);
    AdminConfig config;
    config.path = store_.dir.file("admin.sock");
    config.group.clear();
    net::InheritedSockets inherited;
    auto listening = admin::AdminServer::listen(loop_, config, inherited, [] { return admin::Facts{}; });
    ENSURE(listening);
    server_ = std::move(*listening);
    spool_ = std::make_unique<FakeSpool>(loop_);
    messages_ = std::make_unique<admin::MessageRoutes>(loop_, *server_, *spool_, store_.config.path);
    lanes_ = std::make_unique<admin::LaneRoutes>(loop_, *server_, store_.config.path, [](std::size_t most) {
      return admin::LaneFacts{.held = 1, .waiting = {std::min<std::size_t>(most, 3), {.twin = 1, .held = true}}};
    });
    for (const char* path : {"/pause", "/resume", "/kick"})
      server_->route("POST", path, [this](const http::Request&, const admin::AdminServer::Respond& respond) {
        ++changes_;
        respond({.status = 200, .headers = {{"Content-Type", "application/json"}}, .body = "{}"});
      });
  }

  // Everything that comes back, until the server ends the connection.
  std::string answers(std::string_view bytes, bool by_tcp, std::size_t piece) {
    auto [ours, theirs] = MemoryStream::pair(loop_);
    RecordingObserver seen;
    theirs->deliver_at_most(piece);
    ours->start(seen);
    net::PeerCredentials peer{};
    peer.listener = by_tcp ? 1 : 0;
    server_->add(std::move(theirs), peer);
    ours->write(std::string(bytes));
    ours->finish_writing();
    const TimePoint until = monotonic_now() + kAnswerTimeMax;
    while (seen.ends == 0 && seen.failures.empty() && !ours->peer_gone()) {
      loop_.run_turn();
      ENSURE(monotonic_now() < until);
    }
    while (ours->waiting() > 0) loop_.run_turn();
    ours.reset();
    for (int turn = 0; turn < 3; ++turn) loop_.run_turn();
    return std::move(seen.received);
  }

  int changes() const { return changes_; }

 private:
  TestSpool store_;
  net::EventLoop loop_{net::EventLoop::Clock::manual};
  std::unique_ptr<admin::AdminServer> server_;
  std::unique_ptr<FakeSpool> spool_;
  std::unique_ptr<admin::MessageRoutes> messages_;
  std::unique_ptr<admin::LaneRoutes> lanes_;
  int changes_ = 0;
};

void check(const http::Response& answer) {
  constexpr int kStatuses[] = {200, 400, 403, 404, 405, 408, 411, 413, 414, 417, 431, 503, 505};
  ENSURE(std::find(std::begin(kStatuses), std::end(kStatuses), answer.status) != std::end(kStatuses));
  if (answer.headers.get("Content-Type").value_or("").starts_with("application/json"))
    ENSURE(!json::why_not_an_object(answer.body));
  if (answer.status >= 400)
    ENSURE(answer.body.find(R"("error":{"code":")") != std::string::npos || answer.status == 503);
}

// What must be the same each time: not the date, nor the page with its random nonce.
std::string essence(std::string_view answers) {
  std::string all;
  http::ResponseParser parser({.body_bytes_max = 1 << 20}, [&](http::Response&& answer, bool keeps) {
    check(answer);
    const bool page = answer.headers.get("Content-Type") == "text/html; charset=utf-8";
    all +=
        std::to_string(answer.status) + (page ? std::to_string(answer.body.size()) : answer.body) + (keeps ? "k" : "c");
  });
  while (!answers.empty()) {
    const std::size_t eaten = parser.feed(answers);
    ENSURE(eaten > 0);
    answers.remove_prefix(eaten);
  }
  ENSURE(parser.fault() == http::Fault::none && parser.end());
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Admin& admin = *new Admin;  // its threads end with the process
  if (size == 0) return 0;
  const bool by_tcp = data[0] % 2 == 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (bytes.find("/snapshot") != std::string_view::npos) return 0;  // writes where the request says

  const int changes = admin.changes();
  const std::string whole = admin.answers(bytes, by_tcp, bytes.size() + 1);
  const std::string by_the_byte = admin.answers(bytes, by_tcp, 1);
  ENSURE(!by_tcp || admin.changes() == changes);
  if (bytes.find("HEAD ") != std::string_view::npos) return 0;  // whose answers have no body to be told apart
  ENSURE(essence(by_the_byte) == essence(whole));
  return 0;
}

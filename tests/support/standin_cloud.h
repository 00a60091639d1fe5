// A stand-in for the cloud: HTTPS on 127.0.0.1 with SendTelemetry's answers as the real service gives them, and faults
// on request. Used by the end-to-end tests, by unit tests over real TLS, and by scripts/run.
//
// Loop thread. Every accepted request is in the records file before its answer leaves. The same object carries the
// control API on a Unix socket (standin_control.h), so that a test in another process, or a person with curl, can steer
// it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "http/server.h"
#include "net/event_loop.h"
#include "net/socket.h"
#include "support/standin_faults.h"
#include "support/standin_limit.h"
#include "support/standin_records.h"
#include "tls/engine.h"

namespace twinspool::test {

struct StandInOptions {
  std::uint16_t port = 0;  // 0: the kernel's choice
  std::string cert_file;
  std::string key_file;
  std::string records_file;
  std::string token;  // a telemetry request must carry `Authorization: Bearer <token>`; empty: anything goes
};

struct StandInStats {
  bool down = false;
  std::uint64_t requests = 0;            // telemetry requests that were read
  std::uint64_t accepted = 0;            // recorded, by earlier runs on the same file too
  std::uint64_t tokens = 0;              // answers of the token endpoint
  std::uint64_t connections = 0;         // open now
  std::uint64_t connections_total = 0;   // ever accepted
  std::map<int, std::uint64_t> answers;  // by status, of telemetry requests
};

class StandInCloud final : private http::Server::Handler {
 public:
  static Result<std::unique_ptr<StandInCloud>> start(net::EventLoop& loop, const StandInOptions& options);
  ~StandInCloud();
  StandInCloud(StandInCloud&&) = delete;

  std::uint16_t port() const { return port_; }  // the same over down() and up()
  FaultPlans& faults() { return faults_; }
  // Requests of a second beyond `per_second` are answered 429 with `retry_after`, before any fault. 0: no limit.
  void set_limit(std::uint64_t per_second, std::string retry_after);
  const RequestLimit& limit() const { return limit_; }
  const StandInRecords& records() const { return records_; }
  StandInStats stats() const;

  void require_token(std::string token) { token_ = std::move(token); }
  // Instead of one fixed token: telemetry needs one that `valid` likes; null: that of require_token, if any.
  void require_issued(std::function<bool(std::string_view token)> valid) { token_valid_ = std::move(valid); }
  // The 404 list. An empty component: the twin itself does not exist; else only that component of it.
  void set_missing(const std::string& twin, const std::string& component, bool missing);

  void go_down();          // every connection ends, new ones are refused
  Result<void> come_up();  // on the same port

 private:
  struct Answer {
    http::ExchangeId exchange;
    http::Response response;
    bool raw = false;  // `response.body` is what goes out, then the connection is closed
    bool abort = false;
  };
  struct Delayed {
    std::unique_ptr<net::Timer> timer;
    Answer answer;
  };

  StandInCloud(net::EventLoop& loop, tls::Context context, StandInRecords records, std::string token);

  std::optional<http::Response> on_head(const http::Request& head, const net::PeerCredentials& peer,
                                        std::size_t& body_bytes_max) override;
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) override;
  http::Response on_fault(int status, const std::string& reason) override;

  http::Response token_answer(const http::Request& request);
  std::optional<http::Response> refusal(const http::Request& request, const Telemetry& telemetry) const;
  void carry_out(const Fault& fault, http::ExchangeId exchange, const http::Request& request,
                 const Telemetry& telemetry);
  void answer(Answer answer);  // at the end of this turn, after the records are written
  void answer_later(Answer answer, Duration delay);
  void end_of_turn();
  void deliver(Answer& answer);

  net::EventLoop& loop_;
  tls::Context context_;
  StandInRecords records_;
  std::string token_;
  std::function<bool(std::string_view token)> token_valid_;
  FaultPlans faults_;
  RequestLimit limit_;
  std::string limit_retry_after_;
  std::set<std::pair<std::string, std::string>> missing_;
  StandInStats stats_;
  std::vector<Answer> answers_;
  bool end_of_turn_posted_ = false;
  std::list<Delayed> delayed_;
  std::uint16_t port_ = 0;
  std::uint64_t ups_ = 0;                 // tells the connections of one server from those of the one before
  std::unique_ptr<http::Server> server_;  // null while down
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // posted work outlives us
};

}  // namespace twinspool::test

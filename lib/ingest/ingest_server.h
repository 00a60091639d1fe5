// The local API on its Unix sockets: 204 once the message, or the batch, is on disk, never before. Each socket has its
// own rules: who may send, for which twins, and how much of it may wait.
//
// Loop thread. The server reads and answers, the spool keeps: what waits for a commit is bounded by the spool's inbox
// and by the HTTP server's limits on connections and on requests in the pipeline of each. It may end before the spool
// does: an append that is under way is then stored and not answered, and the sender's retry is a duplicate.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "http/server.h"
#include "ingest/access.h"
#include "ingest/api_error.h"
#include "net/event_loop.h"
#include "net/socket.h"
#include "spool/spool.h"

namespace twinspool::ingest {

class IngestServer final : private http::Server::Handler {
 public:
  struct Stats {
    std::size_t connections = 0;                 // open now
    std::map<int, std::uint64_t> answers;        // by status, since the start
    std::uint64_t accepted_bytes = 0;            // bodies answered 204, duplicates not among them
    std::uint64_t source_times_not_rfc3339 = 0;  // of requests that were handed to the spool
  };

  // `loop` and `spool` outlive the server; add() gives it connections.
  IngestServer(net::EventLoop& loop, const IngestConfig& config, Spool& spool);
  ~IngestServer();  // closes every connection at once

  // A server that listens on all of `sockets`, inherited ones where there are some. Errc::busy where another daemon
  // answers on one of them, Errc::invalid for a path, mode, group or user; no socket is left behind then. Where the
  // spool was opened with the sources_of() the same sockets, their quotas are kept.
  static Result<std::unique_ptr<IngestServer>> listen(net::EventLoop& loop, const std::vector<ListenConfig>& sockets,
                                                      const IngestConfig& config, Spool& spool,
                                                      net::InheritedSockets& inherited);
  static std::vector<SourceConfig> sources_of(const std::vector<ListenConfig>& sockets);

  // PeerCredentials::listener is the number of the socket, from 1; 0: one that everybody may use, without a quota.
  void add(std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer);

  // The rules for source times change at once; connections_max, batch_max and the time-outs are those of the start.
  void reconfigure(const IngestConfig& config);

  // Who is refused for want of space (507) is told to come again after so long; without it, after what the spool says.
  void retry_when_full(std::function<Duration()> after) { retry_when_full_ = std::move(after); }

  // No new connection; what waits for a commit is answered, a request still on its way gets 503. Then `done`, on a
  // later turn, which may destroy the server. Once.
  void drain(std::function<void()> done);

  Stats stats() const;

 private:
  struct Alive {};

  std::optional<http::Response> on_head(const http::Request& head, const net::PeerCredentials& peer,
                                        std::size_t& body_bytes_max) override;
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) override;
  http::Response on_fault(int status, const std::string& reason) override;

  std::optional<ApiError> why_refused(const http::Request& head, const net::PeerCredentials& peer) const;
  void take_message(http::ExchangeId exchange, http::Request&& request, Source source);
  void take_batch(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer);
  void on_appended(http::ExchangeId exchange, std::size_t body_bytes, const tl::expected<Receipt, Refused>& result);
  void on_batch_appended(http::ExchangeId exchange, const std::vector<std::size_t>& body_bytes,
                         const std::vector<Receipt>& receipts);
  http::Response refusal(const ApiError& error);  // counted
  Refused with_forecast(Refused refused) const;

  IngestConfig config_;
  Spool& spool_;
  std::vector<Access> access_{Access{}};  // by PeerCredentials::listener
  bool draining_ = false;
  std::function<Duration()> retry_when_full_;
  Stats stats_;
  std::shared_ptr<Alive> alive_ = std::make_shared<Alive>();  // the spool's callbacks look whether it is still there
  http::Server server_;                                       // last: its connections call the handler
};

}  // namespace twinspool::ingest

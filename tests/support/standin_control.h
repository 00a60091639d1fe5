// Steers a StandInCloud from outside, by HTTP on a Unix socket, so that curl and any test language can do it:
//
//   GET    /stats                            counters as JSON
//   GET    /records?from=N                   accepted messages from number N on (0 is the first), one JSON line each,
//                                            about 512 KiB at a time: ask again from where the lines end
//   POST   /faults?steps=503,503,reset,ok    the next requests (twin=T: of that twin only); repeat=true: the last step
//                                            for ever; retry_after=2, code=X, html=true, header=name:value, delay_ms=N
//   DELETE /faults                           no plan any more
//   POST   /missing?twin=T[&component=C]     answered 404 until DELETE /missing?twin=T[&component=C]
//   POST   /token?value=T                    the bearer token that is needed from now on; empty: none
//   POST   /limit?per_second=N               429 beyond N requests in a second (0: no limit); retry_after=2 (1)
//   GET    /rates                            of each second in which something was asked: how much, and how much was
//   429 POST   /down, POST /up                   an outage: connections end and are refused; and its end
//
// Changes are answered 204, what is wrong 400 with a sentence.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/server.h"
#include "net/event_loop.h"
#include "support/standin_cloud.h"

namespace twinspool::test {

class StandInControl final : private http::Server::Handler {
 public:
  // `cloud` outlives the control.
  static Result<std::unique_ptr<StandInControl>> start(net::EventLoop& loop, StandInCloud& cloud,
                                                       const std::string& path);
  StandInControl(StandInControl&&) = delete;

 private:
  StandInControl(net::EventLoop& loop, StandInCloud& cloud);

  std::optional<http::Response> on_head(const http::Request& head, const net::PeerCredentials& peer,
                                        std::size_t& body_bytes_max) override;
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) override;
  http::Response on_fault(int status, const std::string& reason) override;

  http::Response answer_to(const http::Request& request);
  http::Response set_faults(const std::string& target);
  http::Response stats() const;
  http::Response rates() const;

  StandInCloud& cloud_;
  http::Server server_;
};

}  // namespace twinspool::test

// The stand-in's issuer on the network: the token endpoint over TLS, the managed-identity endpoint by plain HTTP, both
// on 127.0.0.1, and the control of it all on a Unix socket:
//
//   GET    /stats                       requests, tokens, the last refusal
//   POST   /settings?lifetime=2&...     lifetime (seconds), refresh_in (seconds; empty: none), client_secret,
//                                       federated_token, user_assigned, arc_key_directory
//   POST   /faults?steps=500,hang,ok    the next requests (standin_issuer.h); repeat=true: the last step for ever;
//                                       retry_after=N
//   DELETE /faults
//   POST   /revoke                      no token that was issued is worth anything any more
//   POST   /require?issued=true         telemetry needs a token that was issued and is not over; false: not
//   POST   /down, POST /up              nobody listens; and again, on the same ports
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "http/server.h"
#include "net/event_loop.h"
#include "support/standin_cloud.h"
#include "support/standin_issuer.h"
#include "tls/engine.h"

namespace twinspool::test {

struct IdentityOptions {
  std::uint16_t port = 0;        // of the token endpoint; 0: the kernel's choice
  std::uint16_t plain_port = 0;  // of the managed-identity endpoint
  std::string cert_file;
  std::string key_file;
  std::string control_path;  // empty: no control
};

class StandInIdentity {
 public:
  // `cloud` outlives it; null: nobody to require tokens of.
  static Result<std::unique_ptr<StandInIdentity>> start(net::EventLoop& loop, StandInCloud* cloud,
                                                        const IdentityOptions& options);
  ~StandInIdentity();
  StandInIdentity(StandInIdentity&&) = delete;

  StandInIssuer& issuer() { return issuer_; }
  std::uint16_t port() const { return port_; }
  std::uint16_t plain_port() const { return plain_port_; }
  void go_down();
  Result<void> come_up();

 private:
  enum class Door : std::uint8_t { token, managed_identity, control };
  class Serving;

  StandInIdentity(net::EventLoop& loop, StandInCloud* cloud, tls::Context context);
  http::Response control(const http::Request& request);
  http::Response set(const std::string& target);
  StandInIssuer::Now now() const { return {loop_.now(), wall_now()}; }

  net::EventLoop& loop_;
  StandInCloud* cloud_;
  tls::Context context_;
  StandInIssuer issuer_;
  std::uint16_t port_ = 0, plain_port_ = 0;
  std::unique_ptr<Serving> token_, managed_identity_, control_;
};

}  // namespace twinspool::test

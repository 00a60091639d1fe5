// The network seam of the forwarder and of the token fetch: look-up → TCP → proxy → TLS under one deadline. The
// simulation has a Dialer of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "net/socket.h"
#include "net/stream.h"

namespace twinspool::forward {

// Where a Dialer leads to.
struct DialTarget {
  enum class Transport : std::uint8_t {
    tls,    // chain and host name verified, by the proxy where the rules say so
    plain,  // neither TLS nor proxy: the managed-identity endpoints of this very machine
  };

  std::string host;  // as EndpointUrl has it
  std::uint16_t port = 443;
  Transport transport = Transport::tls;
  std::string server_name;  // what the certificate must be for; empty: the host
  std::string key;          // of the configuration, for advice: forward.endpoint, auth.authority
};

class Dialer {
 public:
  using Dialed = std::function<void(Result<std::unique_ptr<net::Stream>>)>;
  virtual ~Dialer() = default;
  // Destroying the Pending gives up. `done` runs once, on a later turn.
  virtual std::unique_ptr<net::Pending> dial(Dialed done) = 0;
};

// Makes the Dialer to a target with the configuration's own TLS and proxy settings.
using MakeDialer = std::function<Result<std::unique_ptr<Dialer>>(const DialTarget& target)>;

}  // namespace twinspool::forward

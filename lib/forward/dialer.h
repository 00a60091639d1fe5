// The network seam of the forwarder: look-up → TCP → TLS under one deadline. The simulation has a Dialer of its own.
#pragma once

#include <functional>
#include <memory>

#include "net/socket.h"
#include "net/stream.h"

namespace twinspool::forward {

class Dialer {
 public:
  using Dialed = std::function<void(Result<std::unique_ptr<net::Stream>>)>;
  virtual ~Dialer() = default;
  // Destroying the Pending gives up. `done` runs once, on a later turn.
  virtual std::unique_ptr<net::Pending> dial(Dialed done) = 0;
};

}  // namespace twinspool::forward

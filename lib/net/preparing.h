// Streams that have something to settle with the peer before anybody may use them: a TLS handshake, a proxy's tunnel.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "net/event_loop.h"
#include "net/socket.h"
#include "net/stream.h"

namespace twinspool::net {

// Has `Prepared` settle, and hands it over, or why not. Prepared is a Stream with
//   void prepare(std::function<void()> settled)   begins; `settled` runs once, and may not end the stream
//   const std::optional<Error>& failure() const   how it settled
// Loop thread. No deadline of its own: destroy to give up.
template <class Prepared>
class Preparing final : public Pending {
 public:
  using Done = std::function<void(Result<std::unique_ptr<Stream>>)>;

  Preparing(EventLoop& loop, std::unique_ptr<Prepared> stream, Done done)
      : done_(std::move(done)), settled_(loop, [this] { finish(); }), stream_(std::move(stream)) {
    stream_->prepare([this] { settled_.post(); });
  }

 private:
  void finish() {
    const Done done = std::move(done_);  // which may destroy this
    if (stream_->failure()) return done(tl::unexpected(*stream_->failure()));
    done(std::unique_ptr<Stream>(std::move(stream_)));
  }

  Done done_;
  Deferred settled_;
  std::unique_ptr<Prepared> stream_;
};

}  // namespace twinspool::net

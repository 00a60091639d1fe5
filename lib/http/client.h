// One keep-alive HTTP/1.1 client connection over a Stream. Loop thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "http/message.h"
#include "http/parser.h"
#include "net/event_loop.h"
#include "net/stream.h"

namespace twinspool::http {

class ClientConnection {
 public:
  using Done = std::function<void(Result<Response>)>;

  // `on_closed` runs once, when the connection became useless while no request was under way (idle close by the peer,
  // bytes nobody asked for). Where it became so together with an answer, `usable()` says it to that answer's `done`.
  ClientConnection(net::EventLoop& loop, std::unique_ptr<net::Stream> stream, const ParserLimits& limits,
                   std::function<void()> on_closed);
  ~ClientConnection();  // closes at once; a Done that has not run never will
  ClientConnection(ClientConnection&&) = delete;

  // Sends `request` (bytes as given by http::serialize), while usable(); how many may be unanswered is the caller's
  // limit. `done` runs once, never from inside send(), in the order of the requests: the complete answer, or
  // Errc::timeout at `deadline`, Errc::closed where the connection ended before the answer was whole (`what` says
  // whether any byte of it had come), Errc::protocol. After any error, or an answer with `Connection: close`, the
  // connection is not usable, and requests behind it end with Errc::closed. An answer whose body is over the limit is
  // given with the body cut there: its status counts; the connection is then not usable. Sent while not usable, a
  // request ends with Errc::closed. `done` may destroy the connection only by EventLoop::retire.
  void send(std::string request, TimePoint deadline, Done done);

  bool usable() const;
  std::size_t unanswered() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace twinspool::http

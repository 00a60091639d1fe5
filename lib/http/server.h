// An HTTP/1.1 server on Streams: keep-alive, pipelining with answers in order, Expect: 100-continue, limits and
// time-outs on everything. Used by the local API, the admin API, and the stand-in cloud of the tests.
//
// Loop thread. The server owns the connections; the handler answers each request by its ExchangeId, at once or later,
// in any order: the server puts the answers in order and hands those of one turn to the stream in one write. An answer
// for a connection that is gone, or a second one, is dropped.
//
// A refused request leaves its connection alive. These end it, after the answer: lost framing, a body too long even to
// be dropped (kDroppedBodyBytesMax), and a refusal of `Expect: 100-continue` before its body, as nobody could tell
// whether the next bytes are that body or the next request. The server then still reads, and drops, for a moment, so
// that the answer is not lost by a reset. A client may end its side after its last request and still gets all answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "http/message.h"
#include "http/parser.h"
#include "net/event_loop.h"
#include "net/socket.h"

namespace twinspool::http {

struct ExchangeId {
  std::uint64_t connection = 0;
  std::uint64_t request = 0;  // counts up within its connection
};

struct ServerOptions {
  ParserLimits limits;
  // Above it listeners are paused: clients wait in the backlog. Where some do, connections that have been idle for a
  // second and more are closed for them, those that have been idle longest first.
  std::size_t connections_max = 1024;
  std::size_t pipeline_max = 128;                   // unanswered requests of one connection; above it, reading pauses
  std::size_t unwritten_bytes_max = 64 * 1024;      // of one connection: who does not read its answers is not read
  Duration idle_timeout = std::chrono::minutes(5);  // keep-alive connection without a request
  Duration request_timeout = std::chrono::seconds(30);  // from a request's first byte to its last; then 408 and close
  Duration drain_timeout = std::chrono::seconds(5);     // a drain waits no longer for what a client still owes
  // Bodies above limits.body_bytes_max, which on_head() may allow, of all connections together, from their heads to
  // their answers; beyond it 503, and the body is dropped.
  std::size_t large_bodies_bytes_max = 16 * 1024 * 1024;
  bool length_required = true;  // POST, PUT and PATCH without a length: 411. False: they have no body (curl -X POST)
};

class Server {
 public:
  class Handler {
   public:
    // The head is here, the body is not: an answer refuses the request now, without reading its body into memory (the
    // body is read and dropped before the answer goes out; with `Expect` the answer goes out at once). `body_bytes_max`
    // is this request's limit, as in the options before the call; above it the answer is 413.
    virtual std::optional<Response> on_head(const Request& head, const net::PeerCredentials& peer,
                                            std::size_t& body_bytes_max) = 0;
    virtual void on_request(ExchangeId exchange, Request&& request, const net::PeerCredentials& peer) = 0;
    // Shape of the errors the server itself finds (400, 408, 411, 413, 414, 417, 431, 503, 505): `reason` is for the
    // sender.
    virtual Response on_fault(int status, const std::string& reason) = 0;

   protected:
    ~Handler() = default;
  };

  Server(net::EventLoop& loop, const ServerOptions& options, Handler& handler);  // both outlive the server
  ~Server();  // closes every connection at once; not from inside the handler
  Server(Server&&) = delete;

  void adopt(std::unique_ptr<net::Listener> listener);  // accept callbacks of the listener call add()
  void add(std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer);
  void respond(ExchangeId exchange, const Response& response);
  void abort(ExchangeId exchange);  // closes its connection without an answer (the stand-in cloud's resets)
  // Writes raw bytes where the answer of `exchange` would stand, then closes if asked (the stand-in cloud's cut
  // answers).
  void respond_raw(ExchangeId exchange, std::string bytes, bool then_close);

  // No new connection, no new request; requests of which a byte was parsed are still answered, then connections close.
  // After drain_timeout a request that is not whole gets its 408, and who has not read its answers is given up: only
  // the handler can make a drain last longer. `drained` runs once, on a later turn, and may destroy the server.
  void drain(std::function<void()> drained);

  std::size_t connections() const;
  std::size_t unanswered() const;

 private:
  class Connection;
  friend class Connection;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace twinspool::http

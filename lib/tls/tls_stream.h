// A Stream that runs a TLS engine over another Stream.
#pragma once

#include <memory>
#include <string>

#include "net/event_loop.h"
#include "net/socket.h"
#include "net/stream.h"
#include "tls/engine.h"

namespace twinspool::tls {

// Handshakes as a client over `transport`; `done` gets the encrypted stream, not yet started, or why not (Errc::tls
// with what OpenSSL found: which certificate, which fault, or Errc::closed...). No deadline of its own: destroy to give
// up.
std::unique_ptr<net::Pending> connect_tls(net::EventLoop& loop, std::unique_ptr<net::Stream> transport,
                                          Context& context, const std::string& server_name,
                                          std::function<void(Result<std::unique_ptr<net::Stream>>)> done);

// The server's side (stand-in cloud, tests): usable at once; a failed handshake is the stream's on_failed.
std::unique_ptr<net::Stream> accept_tls(net::EventLoop& loop, std::unique_ptr<net::Stream> transport, Context& context);

}  // namespace twinspool::tls

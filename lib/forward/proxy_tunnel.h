// A tunnel through an HTTP proxy: CONNECT (RFC 9110, 9.3.6) over a Stream that leads to the proxy. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/proxy.h"
#include "net/event_loop.h"
#include "net/socket.h"
#include "net/stream.h"

namespace twinspool::forward {

// `target` is host:port, an IPv6 address in brackets. `done` gets the stream through the proxy, not yet started, or why
// there is none, naming proxy, target and what to do: Errc::refused for what a person must mend (407, 403, what is no
// proxy), Errc::unreachable where the proxy does not reach the target, Errc::protocol, Errc::closed. No deadline of its
// own: destroy to give up.
std::unique_ptr<net::Pending> open_tunnel(net::EventLoop& loop, std::unique_ptr<net::Stream> transport,
                                          const ProxyUrl& proxy, const std::string& target,
                                          std::function<void(Result<std::unique_ptr<net::Stream>>)> done);

}  // namespace twinspool::forward

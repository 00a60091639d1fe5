// One HTTP request on a connection of its own: dial → send → whole answer, every step under a deadline. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "forward/dialer.h"
#include "http/message.h"
#include "net/event_loop.h"

namespace twinspool::forward {

constexpr std::size_t kExchangeBodyBytesMax = 128 * 1024;  // an answer with more counts as cut

// `request` as http::serialize gives it. The dialer has its own deadline; `answer_timeout` is for everything after it,
// however slowly the peer dribbles. `done` runs once, on a later turn, and may destroy the Pending; destroying it
// earlier gives up. `dialer` and `loop` outlive it.
std::unique_ptr<net::Pending> exchange(net::EventLoop& loop, Dialer& dialer, std::string request,
                                       Duration answer_timeout, std::function<void(Result<http::Response>)> done);

}  // namespace twinspool::forward

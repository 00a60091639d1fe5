#include "forward/exchange.h"

#include <utility>

#include "http/client.h"

namespace twinspool::forward {

namespace {

constexpr http::ParserLimits kLimits{
    .head_bytes_max = 32 * 1024, .headers_max = 128, .target_bytes_max = 0, .body_bytes_max = kExchangeBodyBytesMax};

class Exchange final : public net::Pending {
 public:
  Exchange(net::EventLoop& loop, Dialer& dialer, std::string request, Duration answer_timeout,
           std::function<void(Result<http::Response>)> done)
      : loop_(loop), request_(std::move(request)), answer_timeout_(answer_timeout), done_(std::move(done)) {
    dial_ = dialer.dial([this](Result<std::unique_ptr<net::Stream>> stream) { on_dialed(std::move(stream)); });
  }
  // Where `done` has run, the connection may be what called it. Else it ends now: bytes of this very turn would call
  // us.
  ~Exchange() override {
    if (!done_) loop_.retire(std::move(connection_));
  }

 private:
  void on_dialed(Result<std::unique_ptr<net::Stream>> stream) {
    loop_.retire(std::move(dial_));
    if (!stream) return end(tl::unexpected<Error>(std::move(stream.error())));
    connection_ = std::make_unique<http::ClientConnection>(loop_, std::move(*stream), kLimits, [] {});
    connection_->send(std::move(request_), loop_.now() + answer_timeout_,
                      [this](Result<http::Response> answer) { end(std::move(answer)); });
  }

  void end(Result<http::Response> result) {
    const auto done = std::exchange(done_, nullptr);
    done(std::move(result));  // last: it may end this object
  }

  net::EventLoop& loop_;
  std::string request_;
  const Duration answer_timeout_;
  std::function<void(Result<http::Response>)> done_;
  std::unique_ptr<http::ClientConnection> connection_;
  std::unique_ptr<net::Pending> dial_;
};

}  // namespace

std::unique_ptr<net::Pending> exchange(net::EventLoop& loop, Dialer& dialer, std::string request,
                                       Duration answer_timeout, std::function<void(Result<http::Response>)> done) {
  return std::make_unique<Exchange>(loop, dialer, std::move(request), answer_timeout, std::move(done));
}

}  // namespace twinspool::forward

#include "ops/call.h"

#include <memory>
#include <optional>

#include "http/client.h"
#include "net/event_loop.h"
#include "net/socket.h"

namespace twinspool::ops {

namespace {

constexpr std::size_t kAnswerBytesMax = 16 * 1024 * 1024;

class Call {
 public:
  Call(const std::string& socket_path, const http::Request& request, Duration timeout)
      : bytes_(http::serialize(request)),
        deadline_(loop_.now() + timeout),
        timer_(loop_.timers(), [this] { end(fail(Errc::timeout, "no connection in time")); }) {
    timer_.set(deadline_);
    connecting_ = net::connect_unix(loop_, socket_path, [this](Result<std::unique_ptr<net::Stream>> stream) {
      if (!stream) {
        end(fail(Errc::unreachable, stream.error().what));
      } else {
        on_connected(std::move(*stream));
      }
    });
  }

  Result<http::Response> wait() {
    if (!result_) loop_.run();
    return std::move(*result_);
  }

 private:
  void on_connected(std::unique_ptr<net::Stream> stream) {
    timer_.cancel();  // from here on the connection keeps the deadline
    connection_ = std::make_unique<http::ClientConnection>(
        loop_, std::move(stream), http::ParserLimits{.body_bytes_max = kAnswerBytesMax}, [] {});
    connection_->send(std::move(bytes_), deadline_,
                      [this](Result<http::Response> response) { end(std::move(response)); });
  }

  void end(Result<http::Response> result) {
    if (!result_) result_ = std::move(result);
    loop_.stop();
  }

  net::EventLoop loop_;  // first: outlives what lives on it
  std::string bytes_;
  TimePoint deadline_;
  std::optional<Result<http::Response>> result_;
  net::Timer timer_;
  std::unique_ptr<net::Pending> connecting_;
  std::unique_ptr<http::ClientConnection> connection_;
};

}  // namespace

Result<http::Response> call(const std::string& socket_path, const http::Request& request, Duration timeout) {
  return Call(socket_path, request, timeout).wait();
}

}  // namespace twinspool::ops

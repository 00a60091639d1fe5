#include "forward/proxy_tunnel.h"

#include <optional>
#include <utility>

#include "http/parser.h"
#include "net/preparing.h"
#include "util/base64.h"

namespace twinspool::forward {
namespace {

constexpr http::ParserLimits kAnswerLimits{
    .head_bytes_max = 16 * 1024, .headers_max = 64, .target_bytes_max = 0, .body_bytes_max = 0};

constexpr std::string_view kHttp = "HTTP/";

std::string connect_request(const ProxyUrl& proxy, const std::string& target) {
  std::string text =
      "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\nUser-Agent: twinspool/" TWINSPOOL_VERSION "\r\n";
  if (!proxy.user.empty()) {
    text += "Proxy-Authorization: Basic " + base64(proxy.user + ":" + proxy.password) + "\r\n";
  }
  return text + "\r\n";
}

// Whether one of the challenges is for Basic; their parameters are of no interest.
bool offers_basic(const http::Headers& headers) {
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    if (!http::same_name(name, "proxy-authenticate")) continue;
    for (std::size_t at = 0; at < value.size();) {
      const auto begin = value.find_first_not_of(" ,", at);
      if (begin == std::string_view::npos) break;
      const auto end = std::min(value.find_first_of(" ,", begin), value.size());
      if (http::same_name(value.substr(begin, end - begin), "basic")) return true;
      at = end;
    }
  }
  return false;
}

// RFC 9110: a 2xx to CONNECT has no body. Where one is announced, it is a page of something that is no proxy.
bool announces_body(const http::Headers& headers) {
  return headers.get("content-length").value_or("0") != "0" || headers.count("transfer-encoding") > 0;
}

std::optional<Error> fault_of(const http::Response& answer, const ProxyUrl& proxy, const std::string& target) {
  const int status = answer.status;
  if (status >= 200 && status < 300) {
    if (!announces_body(answer.headers)) return std::nullopt;
    return Error{Errc::refused, "the proxy " + proxy.shown() + " answered CONNECT " + target +
                                    " with a page instead of a tunnel: forward.proxy must name an HTTP proxy, and a "
                                    "captive portal may want somebody to log in"};
  }
  const std::string refused = "the proxy " + proxy.shown() + " refused CONNECT " + target + ": HTTP " +
                              std::to_string(status) + " " + std::string(http::reason_phrase(status));
  if (status == 407 || status == 401) {  // 401: tinyproxy's word for a wrong password
    if (answer.headers.count("proxy-authenticate") > 0 && !offers_basic(answer.headers)) {
      return Error{Errc::refused, refused + "; it does not offer Basic authentication, the only kind spoken here"};
    }
    return Error{Errc::refused, refused + (proxy.user.empty() ? "; give it a user and password: forward.proxy: "
                                                                "http://user:password@host:port"
                                                              : "; check the user and the password in forward.proxy")};
  }
  if (status >= 500) {
    return Error{
        status == 501 || status == 505 ? Errc::refused : Errc::unreachable,
        refused + (status == 501 || status == 505
                       ? "; forward.proxy must name an HTTP proxy that knows CONNECT"
                       : "; it does not reach that host: check the host's name, and the proxy's own network and "
                         "DNS")};
  }
  if (status == 400 || status == 404 || status == 405 || status == 426) {
    return Error{Errc::refused, refused + "; forward.proxy must name an HTTP proxy that knows CONNECT"};
  }
  if (status == 408 || status == 429) return Error{Errc::unreachable, refused + "; it may be overloaded"};
  return Error{Errc::refused, refused + "; the proxy's rules must allow CONNECT to this host and port"};
}

// The proxy's connection: first it carries CONNECT and its answer, then whatever the tunnel's user wishes.
class TunnelStream final : public net::Stream, private net::Stream::Observer {
 public:
  TunnelStream(net::EventLoop& loop, std::unique_ptr<net::Stream> transport, ProxyUrl proxy, std::string target)
      : proxy_(std::move(proxy)),
        target_(std::move(target)),
        parser_(kAnswerLimits, [this](http::Response&& answer, bool) { answer_ = std::move(answer); }),
        telling_(loop, [this] { tell_failure(); }),
        transport_(std::move(transport)) {
    parser_.expect_head_answer(true);
  }

  void prepare(std::function<void()> settled) {
    settled_ = std::move(settled);
    transport_->start(*this);
    transport_->write(connect_request(proxy_, target_));
  }
  const std::optional<Error>& failure() const { return failure_; }

  void start(net::Stream::Observer& observer) override {
    ENSURE(observer_ == nullptr);
    observer_ = &observer;
    if (failure_) return telling_.post();
    if (!paused_) transport_->resume_reading();
  }
  void write(std::string bytes) override { transport_->write(std::move(bytes)); }
  std::size_t unwritten() const override { return transport_->unwritten(); }
  void pause_reading() override {
    paused_ = true;
    transport_->pause_reading();
  }
  void resume_reading() override {
    paused_ = false;
    if (observer_ != nullptr && !failure_) transport_->resume_reading();
  }
  void finish_writing() override { transport_->finish_writing(); }

 private:
  void on_bytes(std::string_view bytes) override {
    if (observer_ != nullptr) return observer_->on_bytes(bytes);
    if (answer_ || failure_) return settle(Error{Errc::protocol, who() + "sent bytes that nobody asked for"});
    begin_.append(bytes.substr(0, kHttp.size() - begin_.size()));
    if (begin_ != kHttp.substr(0, begin_.size())) return settle(not_http("it does not begin as HTTP/1.1"));
    parser_.feed(bytes);
    if (answer_) return settle(fault_of(*answer_, proxy_, target_));
    if (parser_.fault() != http::Fault::none) settle(not_http(parser_.fault_reason()));
  }

  void on_end() override {
    if (observer_ != nullptr) return observer_->on_end();
    settle(Error{Errc::closed, who() + "closed the connection " + when()});
  }

  void on_drained() override {
    if (observer_ != nullptr) observer_->on_drained();
  }

  void on_failed(const Error& error) override {
    if (observer_ != nullptr) return observer_->on_failed(error);
    settle(Error{error.code, who() + "failed " + when() + ": " + error.what});
  }

  Error not_http(const std::string& why) const {
    return {Errc::refused, "what the proxy " + proxy_.shown() + " answered to CONNECT " + target_ + " is not HTTP (" +
                               why + "); forward.proxy must name an HTTP proxy"};
  }

  std::string who() const { return "the proxy " + proxy_.shown() + " "; }
  std::string when() const {
    if (answer_) return "as soon as the tunnel to " + target_ + " stood";
    return (parser_.in_message() ? "in the middle of its answer to CONNECT " : "before it answered CONNECT ") + target_;
  }

  // From here on the transport is silent until somebody listens.
  void settle(std::optional<Error> failure) {
    transport_->pause_reading();
    if (failure && !failure_) failure_ = std::move(failure);
    if (settled_) std::exchange(settled_, nullptr)();
  }

  void tell_failure() { observer_->on_failed(*failure_); }

  const ProxyUrl proxy_;
  const std::string target_;
  http::ResponseParser parser_;
  std::string
      begin_;  // of the answer: what is not HTTP is told at once, where a parser would wait for the end of a head
  std::optional<http::Response> answer_;
  std::optional<Error> failure_;
  std::function<void()> settled_;
  net::Stream::Observer* observer_ = nullptr;
  bool paused_ = false;
  net::Deferred telling_;
  std::unique_ptr<net::Stream> transport_;  // last: it calls this object
};

}  // namespace

std::unique_ptr<net::Pending> open_tunnel(net::EventLoop& loop, std::unique_ptr<net::Stream> transport,
                                          const ProxyUrl& proxy, const std::string& target,
                                          std::function<void(Result<std::unique_ptr<net::Stream>>)> done) {
  auto stream = std::make_unique<TunnelStream>(loop, std::move(transport), proxy, target);
  return std::make_unique<net::Preparing<TunnelStream>>(loop, std::move(stream), std::move(done));
}

}  // namespace twinspool::forward

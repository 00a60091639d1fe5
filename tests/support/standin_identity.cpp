#include "support/standin_identity.h"

#include <charconv>

#include "support/standin_answers.h"
#include "tls/tls_stream.h"
#include "util/json.h"

namespace twinspool::test {
namespace {

http::ServerOptions server_options() {
  http::ServerOptions options;
  options.length_required = false;
  options.limits.body_bytes_max = 256 * 1024;
  return options;
}

http::Response done() { return {.status = 204, .headers = {}, .body = {}}; }
http::Response wrong(const std::string& sentence) { return text_answer(400, "text/plain", sentence + "\n"); }

std::optional<std::int64_t> number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

class StandInIdentity::Serving final : private http::Server::Handler {
 public:
  Serving(StandInIdentity& identity, Door door)
      : identity_(identity), door_(door), server_(identity.loop_, server_options(), *this) {}

  void adopt(std::unique_ptr<net::Listener> listener) { server_.adopt(std::move(listener)); }
  void add(std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer) {
    server_.add(std::move(stream), peer);
  }

 private:
  std::optional<http::Response> on_head(const http::Request&, const net::PeerCredentials&, std::size_t&) override {
    return std::nullopt;
  }
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials&) override {
    if (door_ == Door::control) return server_.respond(exchange, identity_.control(request));
    const StandInIssuer::Reply reply = door_ == Door::token
                                           ? identity_.issuer_.token(request, identity_.now())
                                           : identity_.issuer_.managed_identity(request, identity_.now());
    if (reply.reset) {
      server_.abort(exchange);
    } else if (!reply.hang) {
      server_.respond(exchange, reply.response);
    }
  }
  http::Response on_fault(int status, const std::string& reason) override {
    return text_answer(status, "text/plain", reason + "\n");
  }

  StandInIdentity& identity_;
  const Door door_;
  http::Server server_;
};

StandInIdentity::StandInIdentity(net::EventLoop& loop, StandInCloud* cloud, tls::Context context)
    : loop_(loop), cloud_(cloud), context_(std::move(context)) {}

StandInIdentity::~StandInIdentity() {
  if (cloud_ != nullptr) cloud_->require_issued(nullptr);
}

Result<std::unique_ptr<StandInIdentity>> StandInIdentity::start(net::EventLoop& loop, StandInCloud* cloud,
                                                                const IdentityOptions& options) {
  auto context = tls::Context::server({.cert_file = options.cert_file, .key_file = options.key_file});
  if (!context) return tl::unexpected(context.error());
  std::unique_ptr<StandInIdentity> identity(new StandInIdentity(loop, cloud, std::move(*context)));
  identity->port_ = options.port;
  identity->plain_port_ = options.plain_port;
  if (Result<void> up = identity->come_up(); !up) return tl::unexpected(up.error());
  if (options.control_path.empty()) return identity;
  identity->control_ = std::make_unique<Serving>(*identity, Door::control);
  auto listener = net::Listener::listen_unix(
      loop, {.path = options.control_path, .mode = 0600, .group = {}},
      [self = identity.get()](std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer) {
        self->control_->add(std::move(stream), peer);
      });
  if (!listener) return tl::unexpected(listener.error());
  identity->control_->adopt(std::move(*listener));
  return identity;
}

void StandInIdentity::go_down() {
  token_.reset();
  managed_identity_.reset();
}

Result<void> StandInIdentity::come_up() {
  if (token_) return {};
  auto encrypted = net::Listener::listen_tcp(
      loop_, "127.0.0.1", port_, [this](std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer) {
        token_->add(tls::accept_tls(loop_, std::move(stream), context_), peer);
      });
  if (!encrypted) return tl::unexpected(encrypted.error());
  auto plain = net::Listener::listen_tcp(loop_, "127.0.0.1", plain_port_,
                                         [this](std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer) {
                                           managed_identity_->add(std::move(stream), peer);
                                         });
  if (!plain) return tl::unexpected(plain.error());
  port_ = (*encrypted)->port();
  plain_port_ = (*plain)->port();
  token_ = std::make_unique<Serving>(*this, Door::token);
  managed_identity_ = std::make_unique<Serving>(*this, Door::managed_identity);
  token_->adopt(std::move(*encrypted));
  managed_identity_->adopt(std::move(*plain));
  return {};
}

http::Response StandInIdentity::control(const http::Request& request) {
  const std::string& target = request.target;
  const std::string call = request.method + " " + std::string(path_of(target));
  if (call == "GET /stats") {
    json::Writer body;
    body.begin_object().key("requests").integer(static_cast<std::int64_t>(issuer_.requests()));
    body.key("tokens").integer(static_cast<std::int64_t>(issuer_.tokens()));
    body.key("last_refusal").string(issuer_.last_refusal()).end_object();
    return text_answer(200, "application/json", body.take() + "\n");
  }
  if (call == "POST /settings") return set(target);
  if (call == "POST /faults") {
    const auto set =
        issuer_.set_faults(query_value(target, "steps").value_or(""), query_value(target, "repeat") == "true",
                           query_value(target, "retry_after").value_or(""));
    return set ? done() : wrong(set.error().what);
  }
  if (call == "DELETE /faults") {
    issuer_.clear_faults();
    return done();
  }
  if (call == "POST /revoke") {
    issuer_.revoke();
    return done();
  }
  if (call == "POST /require" && cloud_ != nullptr) {
    if (query_value(target, "issued") == "true") {
      cloud_->require_issued([this](std::string_view token) { return issuer_.valid(token, loop_.now()); });
    } else {
      cloud_->require_issued(nullptr);
    }
    return done();
  }
  if (call == "POST /down") {
    go_down();
    return done();
  }
  if (call == "POST /up") {
    if (Result<void> up = come_up(); !up) return wrong(up.error().what);
    return done();
  }
  return text_answer(404, "text/plain", "no such call: " + call + "\n");
}

http::Response StandInIdentity::set(const std::string& target) {
  IssuerSettings& settings = issuer_.settings;
  if (const auto text = query_value(target, "lifetime")) {
    const auto seconds = number(*text);
    if (!seconds) return wrong("lifetime must be a number of seconds");
    settings.lifetime = std::chrono::seconds(*seconds);
  }
  if (const auto text = query_value(target, "refresh_in")) settings.refresh_in = number(*text);
  if (const auto text = query_value(target, "client_secret")) settings.client_secret = *text;
  if (const auto text = query_value(target, "federated_token")) settings.federated_token = *text;
  if (const auto text = query_value(target, "user_assigned")) settings.user_assigned = *text;
  if (const auto text = query_value(target, "arc_key_directory")) settings.arc_key_directory = *text;
  return done();
}

}  // namespace twinspool::test

#include "ops/doctor_network.h"

#include <fmt/format.h>

#include <memory>
#include <optional>

#include "forward/endpoint_url.h"
#include "forward/exchange.h"
#include "forward/network_dialer.h"
#include "forward/outcome.h"
#include "forward/telemetry_request.h"
#include "forward/token_sources.h"
#include "net/event_loop.h"
#include "ops/doctor.h"
#include "ops/send.h"

namespace twinspool::ops {

namespace {

using Step = forward::DialProgress::Step;

constexpr const char* kMadeUpTwin = "twinspool-doctor-asks-for-no-twin";

class Network {
 public:
  Network(const Config& config, const std::string& twin, const std::function<void(Finding)>& tell)
      : config_(config), probe_{twin.empty() ? kMadeUpTwin : twin, twin.empty()}, tell_(tell) {}

  void run() {
    auto dialer = forward::NetworkDialer::create(loop_, config_.forward);
    if (!dialer) return tell_(broken_by("tls", dialer.error().what, "mend the files that forward.tls names"));
    if (!reach(**dialer)) {
      tell_(skipped("token", "first the way to the cloud"));
      tell_(skipped("probe", "first the way to the cloud"));
      return;
    }
    const std::optional<std::string> token = get_token();
    if (!token) return tell_(skipped("probe", "first a token"));
    send_probe(**dialer, *token);
  }

 private:
  // Runs the loop until `begin`'s callback has a result.
  template <class T>
  Result<T> wait(const std::function<std::unique_ptr<net::Pending>(std::function<void(Result<T>)>)>& begin) {
    std::optional<Result<T>> result;
    const auto pending = begin([&](Result<T> given) {
      result = std::move(given);
      loop_.stop();
    });
    while (!result) loop_.run();
    return std::move(*result);
  }

  bool reach(forward::NetworkDialer& dialer) {
    const auto reached =
        wait<std::unique_ptr<net::Stream>>([&](forward::Dialer::Dialed done) { return dialer.dial(std::move(done)); });
    const bool by_proxy = dialer.proxy().has_value();
    const Step failed = dialer.progress().step;
    const std::string error = reached ? "" : reached.error().what;
    std::string addresses;
    for (const net::Address& address : dialer.progress().addresses)
      addresses += (addresses.empty() ? "" : ", ") + address.text();
    const std::string where = by_proxy ? "the proxy " + dialer.proxy()->shown() : config_.forward.endpoint;

    const auto step = [&](Step own, const char* name, const std::string& fine, const std::string& remedy) {
      if (!reached && failed < own) return tell_(skipped(name, "the step before is broken"));
      if (reached || failed != own) return tell_(good(name, fine));
      tell_(remedy.empty() ? broken_by(name, error, "") : broken(name, error, remedy));
    };
    step(Step::look_up, "dns", where + " is " + addresses, "");
    step(Step::connect, "tcp", where + " answers", "");
    if (by_proxy) step(Step::tunnel, "proxy", "it lets us through to " + config_.forward.endpoint, "");
    step(Step::handshake, "tls", "the certificate is good",
         "check the host in forward.endpoint (or forward.tls.server_name), the authority in forward.tls.ca_file, and "
         "the "
         "clock");
    return reached.has_value();
  }

  std::optional<std::string> get_token() {
    auto source = forward::make_token_source(
        loop_, config_.auth, config_.forward,
        {.make_dialer = [this](const forward::DialTarget& target) -> Result<std::unique_ptr<forward::Dialer>> {
           return forward::NetworkDialer::create(loop_, target, config_.forward);
         },
         .environment = forward::IdentityEnvironment::of_process(),
         .seed = 0});
    if (!source) {
      tell_(broken_by("token", source.error().what, "mend the section auth"));
      return std::nullopt;
    }
    const Result<std::string> token = wait<std::string>([&](std::function<void(Result<std::string>)> done) {
      (*source)->get([this, done](Result<std::string> got) {
        loop_.post([done, got = std::move(got)] { done(got); });  // it may answer at once
      });
      return nullptr;
    });
    if (!token) {
      tell_(broken_by("token", token.error().what, "mend the section auth"));
      return std::nullopt;
    }
    const forward::TokenStatus status = (*source)->status();
    tell_(good("token",
               token->empty() ? "auth.kind is none: no token is sent" : std::string(status.kind) + " gives one"));
    return *token;
  }

  void send_probe(forward::Dialer& dialer, const std::string& token) {
    const auto endpoint = forward::parse_endpoint(config_.forward.endpoint);
    if (!endpoint) return tell_(broken_by("probe", endpoint.error().what, "mend forward.endpoint"));
    const Telemetry telemetry{.twin = percent_encoded(probe_.twin),
                              .message_id = random_uuid(),
                              .source_time = to_rfc3339(wall_now()),
                              .body = R"({"twinspool":"doctor"})"};
    const std::string request =
        forward::telemetry_request(telemetry, {endpoint->authority, config_.forward.api_version}, token);
    const auto answer = wait<http::Response>([&](std::function<void(Result<http::Response>)> done) {
      return forward::exchange(loop_, dialer, request, config_.forward.request_timeout, std::move(done));
    });
    tell_(judge_probe(answer ? forward::classify(*answer, {.now = wall_now()}) : forward::classify(answer.error()),
                      probe_));
    const auto date = answer ? answer->headers.get("Date") : std::nullopt;
    if (const auto seconds = date ? forward::http_date(*date) : std::nullopt) tell_(judge_skew(wall_now(), *seconds));
  }

  const Config& config_;
  const Probe probe_;
  const std::function<void(Finding)>& tell_;
  net::EventLoop loop_;
};

}  // namespace

void check_network(const Config& config, const std::string& twin, const std::function<void(Finding)>& tell) {
  Network(config, twin, tell).run();
}

}  // namespace twinspool::ops

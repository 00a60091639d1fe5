#include "support/standin_control.h"

#include <charconv>

#include "support/standin_answers.h"
#include "util/json.h"

namespace twinspool::test {
namespace {

constexpr std::size_t kRecordsBytesMax = 512 * 1024;

// curl -X POST sends no length.
http::ServerOptions server_options() {
  http::ServerOptions options;
  options.length_required = false;
  return options;
}

http::Response done() { return {.status = 204, .headers = {}, .body = {}}; }
http::Response wrong(const std::string& sentence) { return text_answer(400, "text/plain", sentence + "\n"); }

std::optional<std::uint64_t> number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<std::unique_ptr<StandInControl>> StandInControl::start(net::EventLoop& loop, StandInCloud& cloud,
                                                              const std::string& path) {
  std::unique_ptr<StandInControl> control(new StandInControl(loop, cloud));
  auto listener = net::Listener::listen_unix(
      loop, {.path = path, .mode = 0600, .group = {}},
      [self = control.get()](std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer) {
        self->server_.add(std::move(stream), peer);
      });
  if (!listener) return tl::unexpected(listener.error());
  control->server_.adopt(std::move(*listener));
  return control;
}

StandInControl::StandInControl(net::EventLoop& loop, StandInCloud& cloud)
    : cloud_(cloud), server_(loop, server_options(), *this) {}

std::optional<http::Response> StandInControl::on_head(const http::Request&, const net::PeerCredentials&, std::size_t&) {
  return std::nullopt;
}

http::Response StandInControl::on_fault(int status, const std::string& reason) {
  return text_answer(status, "text/plain", reason + "\n");
}

void StandInControl::on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials&) {
  server_.respond(exchange, answer_to(request));
}

http::Response StandInControl::answer_to(const http::Request& request) {
  const std::string& target = request.target;
  const std::string call = request.method + " " + std::string(path_of(target));
  if (call == "GET /stats") return stats();
  if (call == "GET /records") {
    const auto from = number(query_value(target, "from").value_or("0"));
    if (!from) return wrong("from must be a number");
    return text_answer(200, "application/x-ndjson", cloud_.records().lines(*from, kRecordsBytesMax));
  }
  if (call == "POST /faults") return set_faults(target);
  if (call == "DELETE /faults") {
    cloud_.faults().clear();
    return done();
  }
  if (call == "POST /missing" || call == "DELETE /missing") {
    const auto twin = query_value(target, "twin");
    if (!twin) return wrong("twin is required");
    cloud_.set_missing(*twin, query_value(target, "component").value_or(""), request.method == "POST");
    return done();
  }
  if (call == "POST /token") {
    cloud_.require_token(query_value(target, "value").value_or(""));
    return done();
  }
  if (call == "POST /limit") {
    const auto per_second = number(query_value(target, "per_second").value_or(""));
    if (!per_second) return wrong("per_second must be a number; 0: no limit");
    cloud_.set_limit(*per_second, query_value(target, "retry_after").value_or("1"));
    return done();
  }
  if (call == "GET /rates") return rates();
  if (call == "POST /down") {
    cloud_.go_down();
    return done();
  }
  if (call == "POST /up") {
    if (Result<void> up = cloud_.come_up(); !up) return wrong(up.error().what);
    return done();
  }
  return text_answer(404, "text/plain", "no such call: " + call + "\n");
}

http::Response StandInControl::set_faults(const std::string& target) {
  const auto delay = number(query_value(target, "delay_ms").value_or("1000"));
  if (!delay) return wrong("delay_ms must be a number");
  Fault common;
  common.code = query_value(target, "code").value_or("");
  common.html = query_value(target, "html") == "true";
  common.retry_after = query_value(target, "retry_after").value_or("");
  common.header = query_value(target, "header").value_or("");
  common.delay = std::chrono::milliseconds(*delay);
  const Result<void> set =
      cloud_.faults().set(query_value(target, "twin").value_or(""), query_value(target, "steps").value_or(""), common,
                          query_value(target, "repeat") == "true");
  return set ? done() : wrong(set.error().what);
}

http::Response StandInControl::rates() const {
  json::Writer body;
  body.begin_array();
  for (const RequestLimit::Second& second : cloud_.limit().seconds()) {
    body.begin_object().key("second").integer(second.second);
    body.key("asked").integer(static_cast<std::int64_t>(second.asked));
    body.key("refused").integer(static_cast<std::int64_t>(second.refused)).end_object();
  }
  body.end_array();
  return text_answer(200, "application/json", body.take() + "\n");
}

http::Response StandInControl::stats() const {
  const StandInStats stats = cloud_.stats();
  const auto count = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  json::Writer body;
  body.begin_object();
  body.key("down").boolean(stats.down);
  body.key("requests").integer(count(stats.requests));
  body.key("accepted").integer(count(stats.accepted));
  body.key("tokens").integer(count(stats.tokens));
  body.key("connections").integer(count(stats.connections));
  body.key("connections_total").integer(count(stats.connections_total));
  body.key("answers").begin_object();
  for (const auto& [status, times] : stats.answers) body.key(std::to_string(status)).integer(count(times));
  body.end_object().end_object();
  return text_answer(200, "application/json", body.take() + "\n");
}

}  // namespace twinspool::test

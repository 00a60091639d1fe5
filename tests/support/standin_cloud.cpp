#include "support/standin_cloud.h"

#include <algorithm>
#include <array>

#include "support/standin_answers.h"
#include "tls/tls_stream.h"
#include "util/json.h"

namespace twinspool::test {
namespace {

constexpr std::size_t kBodyBytesMax = 32 * 1024;
constexpr std::size_t kReadBytesMax = 4 * kBodyBytesMax;  // read it, so that the refusal is ours and not the framing's
constexpr std::array<std::string_view, 4> kApiVersions{"2020-10-31", "2022-05-31", "2023-06-30", "2023-10-31"};

bool keeps_record(FaultKind kind) {
  switch (kind) {
    case FaultKind::none:
    case FaultKind::accept_reset:
    case FaultKind::accept_hang:
    case FaultKind::cut:
    case FaultKind::cut_body:
    case FaultKind::slow:
      return true;
    case FaultKind::status:
    case FaultKind::reset:
    case FaultKind::hang:
      return false;
  }
  return false;
}

std::string header_or_empty(const http::Request& request, std::string_view name) {
  return std::string(request.headers.get(name).value_or(std::string_view()));
}

}  // namespace

Result<std::unique_ptr<StandInCloud>> StandInCloud::start(net::EventLoop& loop, const StandInOptions& options) {
  Result<tls::Context> context = tls::Context::server({.cert_file = options.cert_file, .key_file = options.key_file});
  if (!context) return tl::unexpected(context.error());
  Result<StandInRecords> records = StandInRecords::open(options.records_file);
  if (!records) return tl::unexpected(records.error());
  std::unique_ptr<StandInCloud> cloud(new StandInCloud(loop, std::move(*context), std::move(*records), options.token));
  cloud->port_ = options.port;
  if (Result<void> up = cloud->come_up(); !up) return tl::unexpected(up.error());
  return cloud;
}

StandInCloud::StandInCloud(net::EventLoop& loop, tls::Context context, StandInRecords records, std::string token)
    : loop_(loop), context_(std::move(context)), records_(std::move(records)), token_(std::move(token)) {}

StandInCloud::~StandInCloud() { *alive_ = false; }

StandInStats StandInCloud::stats() const {
  StandInStats stats = stats_;
  stats.down = server_ == nullptr;
  stats.accepted = records_.size();
  stats.connections = server_ ? server_->connections() : 0;
  return stats;
}

void StandInCloud::set_missing(const std::string& twin, const std::string& component, bool missing) {
  if (missing) {
    missing_.emplace(twin, component);
  } else {
    missing_.erase({twin, component});
  }
}

void StandInCloud::set_limit(std::uint64_t per_second, std::string retry_after) {
  limit_.set(per_second);
  limit_retry_after_ = std::move(retry_after);
}

void StandInCloud::go_down() {
  delayed_.clear();
  answers_.clear();  // lost with their connections, as in a real outage
  server_.reset();
}

Result<void> StandInCloud::come_up() {
  if (server_) return {};
  auto listener = net::Listener::listen_tcp(
      loop_, "127.0.0.1", port_, [this](std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer) {
        ++stats_.connections_total;
        server_->add(tls::accept_tls(loop_, std::move(stream), context_), peer);
      });
  if (!listener) return tl::unexpected(listener.error());
  http::ServerOptions options;
  options.limits.body_bytes_max = kReadBytesMax;
  ++ups_;
  server_.reset(new http::Server(loop_, options, *this));  // make_unique does not see the private base
  port_ = (*listener)->port();
  server_->adopt(std::move(*listener));
  return {};
}

std::optional<http::Response> StandInCloud::on_head(const http::Request&, const net::PeerCredentials&,
                                                    std::size_t& body_bytes_max) {
  body_bytes_max = kReadBytesMax;
  return std::nullopt;
}

http::Response StandInCloud::on_fault(int status, const std::string& reason) {
  return error_answer(status, "BadRequest", reason);
}

void StandInCloud::on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials&) {
  std::optional<Telemetry> telemetry = telemetry_target(request.target);
  if (!telemetry) {
    const bool token = path_of(request.target).find("/oauth2/v2.0/token") != std::string_view::npos;
    answer({.exchange = exchange,
            .response = token ? token_answer(request) : error_answer(404, "NotFound", "There is no such resource.")});
    return;
  }
  ++stats_.requests;
  telemetry->message_id = header_or_empty(request, "Message-Id");
  telemetry->source_time = header_or_empty(request, "Telemetry-Source-Time");
  telemetry->traceparent = header_or_empty(request, "traceparent");
  telemetry->tracestate = header_or_empty(request, "tracestate");
  if (!limit_.admit(loop_.now())) {
    const Fault throttled{
        .kind = FaultKind::status, .status = 429, .code = {}, .retry_after = limit_retry_after_, .header = {}};
    carry_out(throttled, exchange, request, *telemetry);
    return;
  }
  const Fault fault = faults_.next(telemetry->twin);
  const bool wants_record =
      keeps_record(fault.kind) || (fault.kind == FaultKind::status && fault.status < 300 && !fault.html);
  if (wants_record) {
    if (std::optional<http::Response> refused = refusal(request, *telemetry)) {
      ++stats_.answers[refused->status];
      answer({.exchange = exchange, .response = *std::move(refused)});
      return;
    }
    telemetry->body = request.body;
    records_.add(*telemetry, std::to_string(ups_) + "." + std::to_string(exchange.connection));
  }
  carry_out(fault, exchange, request, *telemetry);
}

std::optional<http::Response> StandInCloud::refusal(const http::Request& request, const Telemetry& telemetry) const {
  if (request.method != "POST") return error_answer(405, "MethodNotAllowed", "Telemetry is sent by POST.");
  const std::string authorization = header_or_empty(request, "Authorization");
  if (token_valid_) {
    if (!authorization.starts_with("Bearer ") || !token_valid_(std::string_view(authorization).substr(7))) {
      return unauthorized_answer();
    }
  } else if (!token_.empty() && authorization != "Bearer " + token_) {
    return unauthorized_answer();
  }
  const std::string version = query_value(request.target, "api-version").value_or("");
  if (std::find(kApiVersions.begin(), kApiVersions.end(), version) == kApiVersions.end()) {
    return error_answer(400, "InvalidArgument", "The api-version '" + version + "' is not supported.");
  }
  if (telemetry.message_id.empty()) return error_answer(400, "InvalidArgument", "The Message-Id header is required.");
  if (request.body.size() > kBodyBytesMax) {
    return error_answer(413, "PayloadTooLarge", "The telemetry is larger than 32 KB.");
  }
  if (const auto wrong = json::why_not_an_object(request.body)) return error_answer(400, "ValidationFailed", *wrong);
  if (missing_.count({telemetry.twin, ""}) != 0) {  // first the twin, whatever the component
    return error_answer(404, "DigitalTwinNotFound",
                        "There is no digital twin instance that exists with the ID " + telemetry.twin +
                            ". Please verify that the twin id is valid and ensure that the twin is not deleted. See "
                            "section on querying the twins http://aka.ms/adtv2query.");
  }
  if (!telemetry.component.empty() && missing_.count({telemetry.twin, telemetry.component}) != 0) {
    return error_answer(404, "ComponentNotFound",
                        telemetry.twin + " does not have component " + telemetry.component + ".");
  }
  return std::nullopt;
}

void StandInCloud::carry_out(const Fault& fault, http::ExchangeId exchange, const http::Request& request,
                             const Telemetry& telemetry) {
  Answer accepted{.exchange = exchange,
                  .response = {.status = 204, .headers = {}, .body = accepted_answer(telemetry.traceparent)},
                  .raw = true};
  switch (fault.kind) {
    case FaultKind::none:
      ++stats_.answers[204];
      answer(std::move(accepted));
      return;
    case FaultKind::status:
      ++stats_.answers[fault.status];
      answer({.exchange = exchange, .response = fault_answer(fault)});
      return;
    case FaultKind::reset:
    case FaultKind::accept_reset:
      answer({.exchange = exchange, .response = {}, .abort = true});
      return;
    case FaultKind::hang:
    case FaultKind::accept_hang:
      loop_.post([this, alive = alive_] {
        if (*alive) end_of_turn();
      });
      return;
    case FaultKind::cut:
      accepted.response.status = 0;  // 0: the connection ends behind these bytes
      accepted.response.body.resize(accepted.response.body.size() / 2);
      answer(std::move(accepted));
      return;
    case FaultKind::cut_body:
      accepted.response.status = 0;
      accepted.response.body =
          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"cut\":";
      answer(std::move(accepted));
      return;
    case FaultKind::slow:
      ++stats_.answers[204];
      answer_later(std::move(accepted), fault.delay);
      return;
  }
  (void)request;
}

http::Response StandInCloud::token_answer(const http::Request& request) {
  const auto token_error = [](std::string_view code, std::string_view description) {
    json::Writer body;
    body.begin_object().key("error").string(code).key("error_description").string(description).end_object();
    return text_answer(400, "application/json; charset=utf-8", body.take());
  };
  if (request.method != "POST") return token_error("invalid_request", "AADSTS900561: The endpoint only accepts POST.");
  if (form_value(request.body, "grant_type") != "client_credentials") {
    return token_error("unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.");
  }
  if (form_value(request.body, "client_id").value_or("").empty() ||
      form_value(request.body, "scope").value_or("").empty()) {
    return token_error("invalid_request", "AADSTS900144: The request body must contain client_id and scope.");
  }
  ++stats_.tokens;
  json::Writer body;
  body.begin_object();
  body.key("token_type").string("Bearer").key("expires_in").integer(3599).key("ext_expires_in").integer(3599);
  body.key("access_token").string(token_.empty() ? "stand-in-token" : token_).end_object();
  return text_answer(200, "application/json; charset=utf-8", body.take());
}

void StandInCloud::answer(Answer answer) {
  answers_.push_back(std::move(answer));
  if (end_of_turn_posted_) return;
  end_of_turn_posted_ = true;
  loop_.post([this, alive = alive_] {
    if (*alive) end_of_turn();
  });
}

void StandInCloud::answer_later(Answer answer, Duration delay) {
  records_.flush();
  delayed_.push_front({.timer = nullptr, .answer = std::move(answer)});
  const auto self = delayed_.begin();
  self->timer = std::make_unique<net::Timer>(loop_.timers(), [this, self] {
    deliver(self->answer);
    delayed_.erase(self);
  });
  self->timer->set_after(delay);
}

void StandInCloud::end_of_turn() {
  end_of_turn_posted_ = false;
  records_.flush();
  const std::vector<Answer> answers = std::exchange(answers_, {});
  for (Answer answer : answers) deliver(answer);
}

void StandInCloud::deliver(Answer& answer) {
  if (!server_) return;
  if (answer.abort) {
    server_->abort(answer.exchange);
  } else if (answer.raw) {
    server_->respond_raw(answer.exchange, std::move(answer.response.body), answer.response.status == 0);
  } else {
    server_->respond(answer.exchange, answer.response);
  }
}

}  // namespace twinspool::test

#include "http/parser.h"

#include "http/parser_core.h"

namespace twinspool::http {
namespace {

constexpr int kInformationalAnswersMax = 16;  // before one answer

// What may stand in a Host: enough to refuse what two readers would take for two different hosts.
bool is_host(std::string_view value) { return value.find_first_of(" \t,/?#@\\\"<>") == std::string_view::npos; }

}  // namespace

struct RequestParser::Impl final : ParserCore {
  Impl(const ParserLimits& limits, Events given_events)
      : ParserCore(HTTP_REQUEST, limits), events(std::move(given_events)) {}

  BodyRule on_head() override {
    if (llhttp_.method == HTTP_CONNECT) {
      refuse(Fault::malformed, "CONNECT is not supported");
      return BodyRule::none;
    }
    if (headers_.count("host") != 1 || !is_host(*headers_.get("host"))) {
      refuse(Fault::malformed, "a request has exactly one Host header, with one host");
      return BodyRule::none;
    }
    request.method = llhttp_method_name(static_cast<llhttp_method_t>(llhttp_.method));
    request.target = std::move(target_);
    request.headers = std::move(headers_);
    const Admission admission = events.on_head(request);
    body_bytes_max_ = admission.drop_body ? 0 : admission.body_bytes_max;
    drop_body = admission.drop_body;
    if (has_length_) (void)check_dropped(length_);
    return BodyRule::as_framed;
  }

  void on_message(bool keep_alive) override {
    request.body = std::move(body_);
    const bool too_large = overflowed_ && !drop_body;
    Request complete = std::exchange(request, {});
    ready_for_next(keep_alive);
    events.on_request(std::move(complete), keep_alive, too_large);
  }

  Events events;
  Request request;
  bool drop_body = false;
};

RequestParser::RequestParser(const ParserLimits& limits, Events events)
    : impl_(std::make_unique<Impl>(limits, std::move(events))) {}
RequestParser::~RequestParser() = default;
std::size_t RequestParser::feed(std::string_view bytes) { return impl_->feed(bytes); }
void RequestParser::pause() { impl_->pause(); }
Fault RequestParser::fault() const { return impl_->fault(); }
std::string RequestParser::fault_reason() const { return impl_->fault_reason(); }
bool RequestParser::in_message() const { return impl_->in_message(); }

struct ResponseParser::Impl final : ParserCore {
  Impl(const ParserLimits& limits, std::function<void(Response&&, bool)> given_event)
      : ParserCore(HTTP_RESPONSE, limits), on_response(std::move(given_event)) {
    overflow_ = Overflow::cut;
  }

  BodyRule on_head() override {
    status = llhttp_.status_code;
    if (status < 100 || status > 599 || status == 101) {
      refuse(Fault::malformed, "the status " + std::to_string(status) + " has no meaning here");
      return BodyRule::none;
    }
    const bool never_has_body = status < 200 || status == 204;
    if (never_has_body && (chunked_ || (has_length_ && length_ > 0))) {
      refuse(Fault::malformed, "an answer with the status " + std::to_string(status) + " announces a body");
      return BodyRule::none;
    }
    if (status < 200 && ++informational > kInformationalAnswersMax) {
      refuse(Fault::malformed, "too many informational answers");
      return BodyRule::none;
    }
    return never_has_body || status == 304 || head_answer ? BodyRule::none : BodyRule::as_framed;
  }

  void on_message(bool keep_alive) override {
    if (status < 200) return ready_for_next(true);
    Response complete{.status = status, .headers = std::move(headers_), .body = std::move(body_)};
    informational = 0;
    head_answer = false;
    ready_for_next(keep_alive);
    on_response(std::move(complete), keep_alive);
  }

  Result<void> end() {
    if (fault() != Fault::none) return fail(Errc::protocol, fault_reason());
    if (ends_with_connection()) {
      on_message(false);
      return {};
    }
    if (in_message()) return fail(Errc::closed, "the connection ended in the middle of an answer");
    return {};
  }

  std::function<void(Response&&, bool)> on_response;
  int status = 0;
  int informational = 0;
  bool head_answer = false;
};

ResponseParser::ResponseParser(const ParserLimits& limits, std::function<void(Response&&, bool keep_alive)> on_response)
    : impl_(std::make_unique<Impl>(limits, std::move(on_response))) {}
ResponseParser::~ResponseParser() = default;
std::size_t ResponseParser::feed(std::string_view bytes) { return impl_->feed(bytes); }
Result<void> ResponseParser::end() { return impl_->end(); }
void ResponseParser::expect_head_answer(bool flag) { impl_->head_answer = flag; }
Fault ResponseParser::fault() const { return impl_->fault(); }
std::string ResponseParser::fault_reason() const { return impl_->fault_reason(); }
bool ResponseParser::in_message() const { return impl_->in_message(); }

}  // namespace twinspool::http

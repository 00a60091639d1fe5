#include "http/server_connection.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace twinspool::http {
namespace {

// How long we read on, and drop, after our side is finished: closing with bytes unread would reset the connection, and
// a reset may overtake the answer.
constexpr Duration kLinger = std::chrono::seconds(2);

int status_of(Fault fault) {
  switch (fault) {
    case Fault::none:
    case Fault::malformed:
      return 400;
    case Fault::head_too_large:
      return 431;
    case Fault::target_too_long:
      return 414;
    case Fault::body_too_large:
      return 413;
    case Fault::version:
      return 505;
  }
  return 400;
}

bool wants_length(const std::string& method) { return method == "POST" || method == "PUT" || method == "PATCH"; }

}  // namespace

Server::Connection::Connection(Server::Impl& server, std::uint64_t id, std::unique_ptr<net::Stream> stream,
                               const net::PeerCredentials& peer)
    : server_(server),
      id_(id),
      stream_(std::move(stream)),
      peer_(peer),
      parser_(server.options.limits,
              {.on_head = [this](const Request& head) { return on_head(head); },
               .on_request = [this](Request&& request, bool keep_alive,
                                    bool too_large) { on_request(std::move(request), keep_alive, too_large); }}),
      timer_(server.loop.timers(), [this] { on_timer(); }),
      active_at_(server.loop.now()),
      request_began_(active_at_),
      linger_until_(kNever) {}

void Server::Connection::start() {
  stream_->start(*this);
  arm();
}

void Server::Connection::on_bytes(std::string_view bytes) {
  if (gone_ || closing_) return;
  active_at_ = server_.loop.now();
  if (paused_) {
    held_ += bytes;
    return;
  }
  read(bytes);
  settle();
}

void Server::Connection::on_end() {
  if (gone_) return;
  peer_ended_ = true;
  settle();
}

void Server::Connection::on_drained() {
  if (gone_) return;
  active_at_ = server_.loop.now();
  if (lingering_) linger_until_ = active_at_ + kLinger;
  settle();
}

void Server::Connection::on_failed(const Error&) {
  if (!gone_) server_.remove(*this);
}

void Server::Connection::read(std::string_view bytes) {
  const bool was_in_message = parser_.in_message();
  message_ended_ = false;
  reading_ = true;
  const std::size_t eaten = parser_.feed(bytes);
  reading_ = false;
  if (gone_ || closing_) return;
  if (parser_.fault() != Fault::none) {
    const auto refusal = std::exchange(refusal_, std::nullopt);
    answer_last(refusal ? *refusal : server_.handler.on_fault(status_of(parser_.fault()), parser_.fault_reason()),
                false);
    return;
  }
  if (eaten < bytes.size() || over_limit()) {
    held_ = bytes.substr(eaten);
    if (!paused_) stream_->pause_reading();
    paused_ = true;
  }
  if (parser_.in_message() && (!was_in_message || message_ended_)) request_began_ = server_.loop.now();
}

RequestParser::Admission Server::Connection::on_head(const Request& head) {
  std::size_t body_bytes_max = server_.options.limits.body_bytes_max;
  const auto length = head.headers.get("content-length");
  const bool has_body =
      head.headers.get("transfer-encoding") || (length && length->find_first_not_of('0') != std::string_view::npos);
  const bool expects = head.headers.get("expect").has_value();
  refusal_ = refusal_of(head, has_body || length, body_bytes_max);
  if (gone_) return {.body_bytes_max = 0, .drop_body = true};
  if (!refusal_ && !reserve_body(head, body_bytes_max))
    refusal_ = server_.handler.on_fault(503, "too many large bodies are under way, send it again in a moment");
  body_bytes_max_ = body_bytes_max;
  if (refusal_ && expects && has_body) {
    const Response refusal = *std::exchange(refusal_, std::nullopt);
    answer_last(refusal, head.method == "HEAD");
    return {.body_bytes_max = 0, .drop_body = true};
  }
  continue_due_ = expects && has_body;  // a refusal of such a request has returned above
  return {.body_bytes_max = body_bytes_max, .drop_body = refusal_.has_value()};
}

std::optional<Response> Server::Connection::refusal_of(const Request& head, bool has_length,
                                                       std::size_t& body_bytes_max) {
  Handler& handler = server_.handler;
  if (server_.options.length_required && !has_length && wants_length(head.method)) {
    return handler.on_fault(411, "a " + head.method + " needs Content-Length or Transfer-Encoding: chunked");
  }
  const auto expectation = head.headers.get("expect");
  if (expectation && !same_name(*expectation, "100-continue"))
    return handler.on_fault(417, "only Expect: 100-continue is known");
  if (auto refusal = handler.on_head(head, peer_, body_bytes_max)) return refusal;
  if (!expectation || gone_) return std::nullopt;
  const auto length = head.headers.get("content-length");
  std::uint64_t bytes = 0;
  if (length) std::from_chars(length->data(), length->data() + length->size(), bytes);
  if (bytes <= body_bytes_max) return std::nullopt;
  return handler.on_fault(
      413, "the body is " + std::string(*length) + " bytes, the limit is " + std::to_string(body_bytes_max));
}

void Server::Connection::on_request(Request&& request, bool keep_alive, bool body_too_large) {
  if (gone_ || closing_) return;
  message_ended_ = true;
  continue_due_ = false;
  const std::uint64_t number = open_slot(request.method == "HEAD");
  slots_.back().large_body_bytes = std::exchange(large_body_bytes_, 0);
  if (!keep_alive || server_.draining) end_requests();
  if (refusal_) {
    respond(number, *std::exchange(refusal_, std::nullopt));
  } else if (body_too_large) {
    respond(number, server_.handler.on_fault(
                        413, "the body is over the limit of " + std::to_string(body_bytes_max_) + " bytes"));
  } else {
    server_.handler.on_request({.connection = id_, .request = number}, std::move(request), peer_);
  }
  if (gone_ || closing_ || over_limit()) parser_.pause();
}

// What answers the bytes read so far, and nothing after it will be read.
void Server::Connection::answer_last(const Response& response, bool head_only) {
  const std::uint64_t number = open_slot(head_only);
  end_requests();
  respond(number, response);
  parser_.pause();
}

// No further request will be read: the newest one is the last.
void Server::Connection::end_requests() {
  closing_ = true;
  held_ = std::string();
  if (!slots_.empty()) slots_.back().last = true;
  if (std::exchange(paused_, false)) stream_->resume_reading();  // to drop what comes, and to see the end
}

std::uint64_t Server::Connection::open_slot(bool head_only) {
  slots_.push_back({.head_only = head_only});
  ++unanswered_;
  ++server_.unanswered;
  return first_ + slots_.size() - 1;
}

Server::Connection::Slot* Server::Connection::waiting_slot(std::uint64_t request) {
  if (gone_ || request < first_ || request - first_ >= slots_.size()) return nullptr;
  Slot& slot = slots_[static_cast<std::size_t>(request - first_)];
  return slot.answered ? nullptr : &slot;
}

void Server::Connection::respond(std::uint64_t request, const Response& response) {
  Slot* slot = waiting_slot(request);
  if (slot == nullptr) return;
  const Framing framing{.keep_alive = !slot->last, .head_only = slot->head_only, .date = server_.date()};
  if (request == first_) {
    append_response(out_, response, framing);
  } else {
    append_response(slot->bytes, response, framing);
    ready_bytes_ += slot->bytes.size();
  }
  answered(*slot);
}

void Server::Connection::respond_raw(std::uint64_t request, std::string bytes, bool then_close) {
  Slot* slot = waiting_slot(request);
  if (slot == nullptr) return;
  slot->bytes = std::move(bytes);
  ready_bytes_ += slot->bytes.size();
  slot->last = slot->last || then_close;
  answered(*slot);
}

void Server::Connection::answered(Slot& slot) {
  slot.answered = true;
  release(slot.large_body_bytes);
  --unanswered_;
  --server_.unanswered;
  write_ready();
  if (!reading_) server_.settle_later(*this);
}

void Server::Connection::write_ready() {
  while (!slots_.empty() && slots_.front().answered) {
    Slot& slot = slots_.front();
    ready_bytes_ -= slot.bytes.size();
    out_ += slot.bytes;
    const bool last = slot.last;
    slots_.pop_front();
    ++first_;
    if (!last) continue;
    server_.unanswered -= unanswered_;  // what was pipelined behind it is never answered
    first_ += slots_.size();
    for (Slot& unanswered : slots_) release(unanswered.large_body_bytes);
    slots_.clear();
    unanswered_ = ready_bytes_ = 0;
    end_requests();
  }
}

// What is larger than most counts against a limit of all connections together, so that many clients with large bodies
// do not add up.
bool Server::Connection::reserve_body(const Request& head, std::size_t body_bytes_max) {
  std::size_t bytes = body_bytes_max;
  if (const auto length = head.headers.get("content-length")) {
    std::uint64_t announced = 0;
    std::from_chars(length->data(), length->data() + length->size(), announced);
    bytes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, announced));
  }
  if (bytes <= server_.options.limits.body_bytes_max) return true;
  if (server_.large_bodies_bytes + bytes > server_.options.large_bodies_bytes_max) return false;
  server_.large_bodies_bytes += bytes;
  large_body_bytes_ = bytes;
  return true;
}

void Server::Connection::release(std::size_t& large_body_bytes) {
  server_.large_bodies_bytes -= std::exchange(large_body_bytes, 0);
}

void Server::Connection::release_all() {
  release(large_body_bytes_);
  for (Slot& slot : slots_) release(slot.large_body_bytes);
}

std::optional<TimePoint> Server::Connection::idle_since() const {
  const bool busy = gone_ || closing_ || paused_ || !slots_.empty() || !out_.empty() || parser_.in_message();
  if (busy || stream_->unwritten() > 0) return std::nullopt;
  return active_at_;
}

bool Server::Connection::over_limit() const {
  return slots_.size() >= server_.options.pipeline_max ||
         out_.size() + ready_bytes_ + stream_->unwritten() > server_.options.unwritten_bytes_max;
}

void Server::Connection::write_out() {
  if (continue_due_ && slots_.empty()) {
    continue_due_ = false;
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
  }
  if (out_.empty()) return;
  active_at_ = server_.loop.now();
  stream_->write(std::exchange(out_, {}));
}

void Server::Connection::read_held() {
  paused_ = false;
  const std::string held = std::exchange(held_, {});
  stream_->resume_reading();
  if (parser_.in_message()) request_began_ = server_.loop.now();
  if (!held.empty()) read(held);
}

void Server::Connection::settle() {
  if (gone_ || reading_) return;
  write_out();
  while (paused_ && !closing_ && !over_limit()) {
    read_held();
    if (gone_) return;
    write_out();
  }
  const bool answered_all = slots_.empty();
  if (closing_ && answered_all && !lingering_) {
    lingering_ = true;
    stream_->finish_writing();
    linger_until_ = server_.loop.now() + (stream_->unwritten() > 0 ? server_.options.request_timeout : kLinger);
  }
  if (peer_ended_ && held_.empty() && answered_all && stream_->unwritten() == 0) return server_.remove(*this);
  arm();
}

void Server::Connection::drain() {
  if (gone_) return;
  if (closing_ || parser_.in_message()) return arm();  // a request under way will be the last one
  const bool idle = slots_.empty() && out_.empty() && stream_->unwritten() == 0;
  if (idle) return server_.remove(*this);
  end_requests();
  server_.settle_later(*this);
}

// The client's time runs only while we read what it sends.
bool Server::Connection::owes_request() const { return parser_.in_message() && !closing_ && !paused_; }

TimePoint Server::Connection::due() const {
  const TimePoint drain_until = server_.drain_until;
  if (lingering_) return drain_until == kNever ? linger_until_ : std::min(linger_until_, drain_until + kLinger);
  if (owes_request()) return std::min(request_began_ + server_.options.request_timeout, drain_until);
  const TimePoint idle_until = active_at_ + server_.options.idle_timeout;
  return slots_.empty() ? std::min(idle_until, drain_until) : idle_until;
}

void Server::Connection::arm() {
  const TimePoint wanted = due();
  if (!timer_.armed() || wanted < timer_.deadline()) timer_.set(wanted);
}

void Server::Connection::on_timer() {
  if (gone_) return;
  const TimePoint now = server_.loop.now();
  if (now < due()) return arm();
  if (!lingering_ && !slots_.empty() && !owes_request()) {
    active_at_ = now;  // it waits for our answer, not we for it
    return arm();
  }
  if (!owes_request()) return server_.remove(*this);
  answer_last(server_.handler.on_fault(408, "the request did not come to its end in time"), false);
  settle();
}

}  // namespace twinspool::http

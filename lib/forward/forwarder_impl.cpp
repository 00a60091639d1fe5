#include "forward/forwarder_impl.h"

#include <algorithm>

#include "forward/endpoint_url.h"

namespace twinspool::forward {

namespace {

constexpr Duration kReadAgain = std::chrono::seconds(1);  // after a read-ahead that failed
constexpr Duration kDialAgain = std::chrono::seconds(1);  // after a dial that failed while open connections work

constexpr http::ParserLimits kAnswerLimits{
    .head_bytes_max = 32 * 1024, .headers_max = 128, .target_bytes_max = 0, .body_bytes_max = kAnswerBodyBytesMax};

std::string authority_of(const std::string& url) {
  const auto endpoint = parse_endpoint(url);
  return endpoint ? endpoint->authority : url;  // the simulation's dialer takes any name
}

}  // namespace

Forwarder::Impl::Impl(net::EventLoop& event_loop, Spool& the_spool, Dialer& the_dialer, TokenSource& the_tokens,
                      const ForwardConfig& the_config, Options the_options)
    : loop(event_loop),
      spool(the_spool),
      dialer(the_dialer),
      tokens(the_tokens),
      config(the_config),
      options(std::move(the_options)),
      target{authority_of(config.endpoint), config.api_version},
      lanes(config.order, config.pipeline, {.oldest = spool.stats().oldest, .newest = spool.stats().newest}),
      endpoint(config.retry, config.connections * config.pipeline, options.seed, options.manner),
      lane_backoff(config.retry, ~options.seed),
      rate(config.rate),
      notes(spool),
      delivery_log(target.authority),
      state_since(options.wall_clock()),
      totals(options.totals),
      pumping_soon(loop, [this] { pump(); }),
      wake_up(loop.timers(), [this] { pump(); }),
      stop_deadline(loop.timers(), [this] { cut(); }) {
  if (options.paused_since) {
    paused_ = true;
    state = State::paused;
    state_since = *options.paused_since;
  }
  spool.on_committed([this](std::vector<Message>&& messages) {
    lanes.on_committed(std::move(messages));
    pump_later();
  });
  spool.on_unrecorded_fell([this] { pump_later(); });
}

Forwarder::Impl::~Impl() {
  spool.on_committed([](std::vector<Message>&&) {});
  spool.on_unrecorded_fell([] {});
}

// --- the turn: read, send, sleep ---

void Forwarder::Impl::pump() {
  const TimePoint now = loop.now();
  pumping = true;
  close_long_idle(now);
  rate_next = kNever;  // send_ready() says it anew; whatever else keeps it from sending wakes us by itself
  if (may_begin()) {
    const bool ready = lanes.any_ready(now) || lanes.any_to_follow();
    read_ahead(now);
    if (ready && endpoint.allowance(now) > 0 && may_leave_unrecorded() && !token_known) get_token(now);
    if (token_known) send_ready(now);
  }
  token_known = false;  // also where nothing may be sent: it would be old by then
  notes.ended(lanes.take_ended_notes());
  if (lanes.empty()) notes.nothing_waits();
  check_stopped();
  watch_state();
  arm_wake_up(now);
  pumping = false;
}

// Each message that was delivered but is not recorded yet is sent twice if the power fails now.
bool Forwarder::Impl::may_leave_unrecorded() const {
  return lanes.in_flight() + spool.stats().unrecorded < config.connections * config.pipeline + kUnrecordedMax;
}

void Forwarder::Impl::read_ahead(TimePoint now) {
  // What the forwarder before us delivered must be off the queue before we read it.
  reading_allowed = reading_allowed || spool.stats().unrecorded == 0;
  if (!reading_allowed || now < read_not_before) return;
  auto request = lanes.next_read();
  if (!request) return;
  spool.read(std::move(*request), while_alive([this](Result<ReadResult> result) { on_read(std::move(result)); }));
}

void Forwarder::Impl::on_read(Result<ReadResult> result) {
  bool moved = false;
  if (result) {
    moved = lanes.on_read(std::move(*result));
    delivery_log.read_again();
  } else {
    lanes.on_read_failed();
    delivery_log.read_failed(result.error());
  }
  if (!moved) read_not_before = loop.now() + kReadAgain;
  pump_later();
}

void Forwarder::Impl::get_token(TimePoint now) {
  if (std::exchange(getting_token, true)) return;
  tokens.get(while_alive([this, asked = endpoint.permit(now)](Result<std::string> got) {
    getting_token = false;
    if (got) {
      if (*got != token) {
        token = std::move(*got);
        ++token_serial;
      }
      token_known = true;
    } else {
      ++totals.failures[static_cast<std::size_t>(FailureClass::token)];
      const Outcome outcome{.verdict = Verdict::pause_endpoint,
                            .failure = FailureClass::token,
                            .status = 0,
                            .code = {},
                            .text = "no token: " + printable(got.error().what, kAnswerTextBytesMax)};
      endpoint.failed(asked, outcome, loop.now());
    }
    if (!pumping) pump_later();  // it came later than asked for
  }));
}

void Forwarder::Impl::send_ready(TimePoint now) {
  rate_next = kNever;
  while (endpoint.allowance(now) > 0 && may_leave_unrecorded()) {
    if (!rate.may_send(now)) {
      rate_next = rate.next();
      return;
    }
    if (!send_next(now)) return;
  }
}

// One message, of a lane that is in flight or of one that begins. False: nothing can be sent now.
bool Forwarder::Impl::send_next(TimePoint now) {
  while (!idle.empty() && !connections.at(idle.back()).http->usable()) close(idle.back());
  const bool ready = lanes.any_ready(now);
  const bool may_dial = now >= dial_not_before && dials.size() + connections.size() < config.connections;
  if (ready && !idle.empty()) {
    const ConnectionId id = idle.back();
    idle.pop_back();
    begin_lane(id, now);
    return true;
  }
  if (ready) dial_more(now);
  const auto lane = lanes.next_to_follow(ready && !may_dial);
  if (!lane) return false;
  const Message& next = lanes.peek(*lane);
  if (why_unsendable(next.telemetry) || !spool.claim(next.sequence)) {
    lanes.end_turn(*lane);  // it leaves as soon as it is the head
  } else {
    send(carriers.at(*lane), lanes.follow(*lane), now);
  }
  return true;
}

void Forwarder::Impl::begin_lane(ConnectionId id, TimePoint now) {
  const InFlight head = lanes.take(now);
  if (!spool.claim(head.sequence)) {  // a limit of the queue dropped it
    idle.push_back(id);
    lanes.finished(head, Lanes::Left::dropped);
    return;
  }
  if (const auto why = why_unsendable(lanes.message(head).telemetry)) {
    idle.push_back(id);
    leave(head, Finished::How::quarantined,
          {.verdict = Verdict::quarantine, .failure = FailureClass::message, .status = 0, .code = {}, .text = *why});
    return;
  }
  if (config.pipeline > 1) carriers[head.lane] = id;
  send(id, head, now);
}

void Forwarder::Impl::send(ConnectionId id, const InFlight& message, TimePoint now) {
  Connection& connection = connections.at(id);
  connection.requests.push_back({message, endpoint.sent(now), token_serial});
  std::string request = telemetry_request(lanes.message(message).telemetry, target, token);
  rate.sent(request.size());
  connection.http->send(std::move(request), now + config.request_timeout,
                        [this, id](Result<http::Response> result) { on_answer(id, std::move(result)); });
}

void Forwarder::Impl::dial_more(TimePoint now) {
  if (now < dial_not_before) return;
  const std::size_t useful = std::min(lanes.ready(), endpoint.allowance(now));
  while (dials.size() < useful && dials.size() + connections.size() < config.connections) {
    const ConnectionId id = next_connection++;
    Dial& dial = dials[id];
    dial.permit = endpoint.permit(now);
    dial.pending =
        dialer.dial([this, id](Result<std::unique_ptr<net::Stream>> stream) { on_dialed(id, std::move(stream)); });
  }
}

void Forwarder::Impl::on_dialed(ConnectionId id, Result<std::unique_ptr<net::Stream>> stream) {
  auto dial = dials.extract(id);
  ENSURE(!dial.empty());
  loop.retire(std::move(dial.mapped().pending));
  const TimePoint now = loop.now();
  if (stream) {
    Connection connection{.http = nullptr, .idle_since = now};
    connection.http = std::make_unique<http::ClientConnection>(loop, std::move(*stream), kAnswerLimits,
                                                               while_alive([this, id] { close(id); }));
    connections.emplace(id, std::move(connection));
    idle.push_back(id);
  } else {
    const Outcome outcome = classify(stream.error());
    ++totals.failures[static_cast<std::size_t>(outcome.failure)];
    const auto blame = endpoint.failed(dial.mapped().permit, outcome, now);
    if (blame == Endpoint::Blame::lane) dial_not_before = now + kDialAgain;
  }
  pump_later();
}

// --- what came of it ---

void Forwarder::Impl::on_answer(ConnectionId id, Result<http::Response> result) {
  Connection& connection = connections.at(id);
  const Request request = connection.requests.front();
  connection.requests.pop_front();
  const bool was_reused = connection.answered_before;
  connection.answered_before |= result.has_value();
  const bool was_behind_the_last = connection.last_answer_came;
  const TimePoint now = loop.now();
  pump_later();
  const bool usable = connection.http->usable();
  connection.last_answer_came = was_behind_the_last || (result && !usable);
  if (connection.requests.empty()) {
    if (config.pipeline > 1) carriers.erase(request.message.lane);
    if (result && usable) {
      connection.idle_since = now;
      idle.push_back(id);
    } else {
      close(id);
    }
  }
  if (!result && result.error().code == Errc::closed) {
    // A server that ends a connection with an answer does not look at what came behind that request.
    const bool unseen = was_behind_the_last;
    // Or it closed an idle connection just as we sent on it. The others have been idle for longer.
    const bool stale = !unseen && was_reused && lanes.first_stale_retry(request.message);
    if (stale) close_idle();
    if (unseen || stale) {
      endpoint.withdrawn(request.permit);
      put_back(request.message);
      return;
    }
  }
  if (result) {
    last_status = result->status;
    totals.request_durations.add(now - request.permit.sent_at);
  }
  const AnswerRules rules{
      .retry_after_max = config.retry.retry_after_max, .now = options.wall_clock(), .secret = token};
  const Outcome outcome = result ? classify(*result, rules) : classify(result.error());
  if (outcome.failure != FailureClass::none) ++totals.failures[static_cast<std::size_t>(outcome.failure)];
  apply(request, outcome, now);
}

void Forwarder::Impl::apply(const Request& request, const Outcome& outcome, TimePoint now) {
  switch (endpoint.finished(request.permit, outcome, lanes.message(request.message).twin, now)) {
    case Endpoint::Blame::message:
      leave(request.message,
            outcome.verdict == Verdict::delivered ? Finished::How::delivered : Finished::How::quarantined, outcome);
      return;
    case Endpoint::Blame::lane:
      hold_or_retry(request.message, outcome, now);
      return;
    case Endpoint::Blame::endpoint:
      if (outcome.verdict == Verdict::renew_token && request.token_serial == token_serial) tokens.refused(token);
      if (outcome.verdict == Verdict::retry_path) close_idle();  // they may be as dead as this one
      put_back(request.message);
      return;
  }
}

void Forwarder::Impl::put_back(const InFlight& message) {
  spool.release(message.sequence);
  lanes.put_back(message);
}

void Forwarder::Impl::leave(const InFlight& message, Finished::How how, const Outcome& outcome) {
  const Message& head = lanes.message(message);
  Finished finished;
  finished.sequence = head.sequence;
  finished.how = how;
  finished.status = outcome.status;
  finished.attempts = lanes.attempts(message);
  const bool is_delivered = how == Finished::How::delivered;
  if (is_delivered) {
    ++delivered;
    notes.delivered(head.twin);
  } else {
    ++quarantined;
    finished.error_code = outcome.code;
    finished.error_message = outcome.text;
    delivery_log.quarantined(head, outcome, loop.now());
  }
  spool.finish(std::move(finished));
  lanes.finished(message, is_delivered ? Lanes::Left::delivered : Lanes::Left::quarantined);
}

void Forwarder::Impl::hold_or_retry(const InFlight& message, const Outcome& outcome, TimePoint now) {
  const Message& head = lanes.message(message);
  const bool held = outcome.verdict == Verdict::hold_lane;
  if (held) {
    // A message has its whole time, also where it came to a lane that was held long before. The time is counted by the
    // monotonic clock; the wall clock, which may be wrong, can only make it longer.
    const Duration lane_held = lanes.held_for(message.lane, notes.held_before(head.twin, options.wall_clock()), now);
    const Duration age = options.wall_clock() - from_unix_ms(head.accepted_ms);
    if (std::min(lane_held, age) >= config.not_found_hold) {
      Outcome given_up = outcome;
      given_up.text = (outcome.failure == FailureClass::twin ? "the twin did not exist for " : "held for ") +
                      to_human(config.not_found_hold) + ": " + outcome.text;
      given_up.text = printable(given_up.text, kAnswerTextBytesMax);
      leave(message, Finished::How::quarantined, given_up);
      return;
    }
  }
  const Lanes::Wait wait{.held = held, .status = outcome.status, .error_code = outcome.code};
  // The head may go back to the disk: what is said about it is taken now.
  Message shown{.sequence = head.sequence, .twin = head.twin, .accepted_ms = head.accepted_ms, .telemetry = {}};
  shown.telemetry.twin = head.telemetry.twin;
  spool.release(head.sequence);
  const Lanes::Waiting waiting = lanes.wait(message, wait, lane_backoff, outcome.retry_after, now);
  const Clocks clocks{.now = now, .wall = options.wall_clock()};
  if (waiting.worth_a_note || notes.is_off(shown.twin, waiting, clocks)) notes.write(shown.twin, wait, waiting, clocks);
  if (held && waiting.just_began) delivery_log.held(shown, outcome, now);
}

// --- connections ---

void Forwarder::Impl::close(ConnectionId id) {
  auto connection = connections.extract(id);
  if (connection.empty()) return;  // it told us that it closed after we had let go of it
  idle.erase(std::remove(idle.begin(), idle.end(), id), idle.end());
  loop.retire(std::move(connection.mapped().http));
}

void Forwarder::Impl::close_idle() {
  while (!idle.empty()) close(idle.back());
}

void Forwarder::Impl::close_long_idle(TimePoint now) {
  while (!idle.empty() && connections.at(idle.front()).idle_since + kIdleConnectionMax <= now) close(idle.front());
}

// Nothing ticks while there is nothing to do.
void Forwarder::Impl::arm_wake_up(TimePoint now) {
  TimePoint next = kNever;
  if (!idle.empty()) next = connections.at(idle.front()).idle_since + kIdleConnectionMax;
  if (may_begin()) {
    next = std::min(next, lanes.next_due());
    if (lanes.ready() > 0 || lanes.lanes_in_flight() > 0) {
      // One that is over could not be used in this turn: what it waits for pumps again.
      if (endpoint.next_allowance() > now) next = std::min(next, endpoint.next_allowance());
      if (rate_next > now) next = std::min(next, rate_next);
      if (dial_not_before > now) next = std::min(next, dial_not_before);
    }
    if (read_not_before > now) next = std::min(next, read_not_before);
  }
  if (next == kNever) {
    wake_up.cancel();
  } else if (!wake_up.armed() || wake_up.deadline() != next) {
    wake_up.set(next);
  }
}

// --- the end ---

void Forwarder::Impl::check_stopped() {
  if (!stopped || lanes.in_flight() > 0) return;
  stop_deadline.cancel();
  loop.post(while_alive([done = std::exchange(stopped, nullptr)] { done(); }));
}

void Forwarder::Impl::cut() {
  for (auto& [id, connection] : connections) {
    for (const Request& request : connection.requests) {
      endpoint.withdrawn(request.permit);
      put_back(request.message);
    }
  }
  idle.clear();
  carriers.clear();
  connections.clear();
  check_stopped();
}

}  // namespace twinspool::forward

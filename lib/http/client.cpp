#include "http/client.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "net/timers.h"

namespace twinspool::http {

struct ClientConnection::Impl final : private net::Stream::Observer {
  struct Waiting {
    TimePoint deadline;
    Done done;
    bool head_only;  // HEAD: its answer has no body
  };
  struct Answer {
    Response response;
    bool keep_alive;
  };

  Impl(net::EventLoop& given_loop, std::unique_ptr<net::Stream> given_stream, const ParserLimits& limits,
       std::function<void()> given_on_closed)
      : loop(given_loop),
        stream(std::move(given_stream)),
        parser(limits, [this](Response&& response, bool keep_alive) { on_response(std::move(response), keep_alive); }),
        on_closed(std::move(given_on_closed)),
        timer(loop.timers(), [this] { on_timer(); }),
        refuse_late(loop, [this] { refuse_all(); }) {
    stream->start(*this);
  }

  void on_bytes(std::string_view bytes) override {
    if (!usable) return;
    if (waiting.empty()) return fail_all({Errc::protocol, "the peer sent bytes that nobody asked for"});
    begun = true;
    parser.feed(bytes);
    take_answers();
  }

  void on_end() override {
    if (!usable) return;
    const Result<void> ended = parser.end();  // may complete an answer that lasts to the end
    take_answers();
    if (!ended) return fail_all(ended.error());
    fail_all({Errc::closed, "the connection ended before an answer"});
  }

  void on_drained() override {}

  void on_failed(const Error& error) override {
    if (!usable) return;
    fail_all({Errc::closed, (begun ? "the connection failed in the middle of an answer: "
                                   : "the connection failed before an answer: ") +
                                error.what});
  }

  // Answers are collected while the parser runs, and told afterwards: a request that is sent from a `done` must never
  // be answered by bytes that had come before it.
  void on_response(Response&& response, bool keep_alive) {
    answers.push_back({std::move(response), keep_alive});
    if (answers.size() < waiting.size()) parser.expect_head_answer(waiting[answers.size()].head_only);
  }

  void take_answers() {
    const bool surplus = answers.size() > waiting.size() ||
                         (answers.size() == waiting.size() && (parser.in_message() || parser.fault() != Fault::none));
    std::optional<Error> fault;
    if (surplus) {
      fault = Error{Errc::protocol, "the peer sent bytes that nobody asked for"};
    } else if (parser.fault() != Fault::none) {
      fault = Error{Errc::protocol, "the answer is not valid: " + parser.fault_reason()};
    } else if (!answers.empty() && !answers.back().keep_alive) {
      fault = Error{Errc::closed, "the peer closed the connection after an earlier answer"};
    }
    std::vector<std::pair<Done, Response>> told;
    for (Answer& answer : std::exchange(answers, {})) {
      if (waiting.empty()) break;
      told.emplace_back(std::move(waiting.front().done), std::move(answer.response));
      waiting.pop_front();
    }
    if (!told.empty()) begun = parser.in_message();
    std::deque<Waiting> failed;
    if (fault) failed = stop();
    for (auto& [done, response] : told) done(std::move(response));
    for (Waiting& request : failed) request.done(tl::unexpected<Error>(*fault));
  }

  // Nothing that comes from now on is looked at.
  std::deque<Waiting> stop() {
    usable = false;
    timer.cancel();
    stream->pause_reading();
    return std::exchange(waiting, {});
  }

  void fail_all(const Error& error) {
    if (!usable) return;
    const std::deque<Waiting> failed = stop();
    for (const Waiting& request : failed) request.done(tl::unexpected<Error>(error));
    if (failed.empty()) tell_closed();
  }

  void tell_closed() {
    if (const auto tell = std::exchange(on_closed, nullptr)) tell();
  }

  void send(std::string request, TimePoint deadline, Done done) {
    if (!usable) {
      refused.push_back(std::move(done));
      return refuse_late.post();
    }
    const bool head_only = request.starts_with("HEAD ");
    if (waiting.empty()) parser.expect_head_answer(head_only);
    waiting.push_back({.deadline = deadline, .done = std::move(done), .head_only = head_only});
    if (!timer.armed() || deadline < timer.deadline()) timer.set(deadline);
    stream->write(std::move(request));
  }

  void refuse_all() {
    for (const Done& done : std::exchange(refused, {}))
      done(fail(Errc::closed, "the connection is not usable any more"));
  }

  // Armed no later than the next deadline; it is not moved when an answer comes, only when it fires.
  void on_timer() {
    const TimePoint now = loop.now();
    const auto first = std::min_element(waiting.begin(), waiting.end(), [](const Waiting& left, const Waiting& right) {
      return left.deadline < right.deadline;
    });
    if (first == waiting.end()) return;
    if (now < first->deadline) return timer.set(first->deadline);
    const std::deque<Waiting> failed = stop();
    for (const Waiting& request : failed) {
      if (request.deadline <= now) {
        request.done(fail(Errc::timeout, begun ? "the answer did not come to its end in time" : "no answer in time"));
      } else {
        request.done(fail(Errc::closed, "the connection was given up when an earlier answer did not come in time"));
      }
    }
  }

  net::EventLoop& loop;
  std::unique_ptr<net::Stream> stream;
  ResponseParser parser;
  std::function<void()> on_closed;
  net::Timer timer;
  net::Deferred refuse_late;
  std::deque<Waiting> waiting;
  std::vector<Answer> answers;  // of this read
  std::vector<Done> refused;
  bool begun = false;  // some bytes of the answer to waiting.front() have come
  bool usable = true;
};

ClientConnection::ClientConnection(net::EventLoop& loop, std::unique_ptr<net::Stream> stream,
                                   const ParserLimits& limits, std::function<void()> on_closed)
    : impl_(std::make_unique<Impl>(loop, std::move(stream), limits, std::move(on_closed))) {}

ClientConnection::~ClientConnection() = default;

void ClientConnection::send(std::string request, TimePoint deadline, Done done) {
  impl_->send(std::move(request), deadline, std::move(done));
}

bool ClientConnection::usable() const { return impl_->usable; }

std::size_t ClientConnection::unanswered() const { return impl_->waiting.size(); }

}  // namespace twinspool::http

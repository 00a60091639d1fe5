// The verbs against a real server on a real Unix socket; it runs its loop in a thread of its own, as the verbs block.
#include "ops/call.h"

#include <fcntl.h>
#include <unistd.h>

#include <future>
#include <mutex>
#include <thread>

#include "http/server.h"
#include "net/event_loop.h"
#include "net/socket.h"
#include "ops/send.h"
#include "ops/status.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace twinspool;
using namespace std::chrono_literals;

namespace {

// Answers every request with `answer`, or never where it has status 0; remembers the last request.
class AnsweringDaemon final : private http::Server::Handler {
 public:
  AnsweringDaemon(std::string path, http::Response answer) : path_(std::move(path)), answer_(std::move(answer)) {
    std::promise<void> listening;
    auto ready = listening.get_future();
    thread_ = std::thread([this, &listening] { serve(listening); });
    ready.wait();
  }
  ~AnsweringDaemon() {
    stop_->wake();
    thread_.join();
  }
  AnsweringDaemon(AnsweringDaemon&&) = delete;

  http::Request last() {  // after a call has ended
    const std::lock_guard guard(mutex_);
    return last_;
  }

 private:
  void serve(std::promise<void>& listening) {
    net::EventLoop loop;
    net::Waker stop(loop, [&] { loop.stop(); });
    stop_ = &stop;
    http::Server server(loop, {}, *this);
    server_ = &server;
    auto listener = net::Listener::listen_unix(
        loop, {.path = path_, .mode = 0600, .group = ""},
        [&](std::unique_ptr<net::Stream> stream, net::PeerCredentials peer) { server.add(std::move(stream), peer); });
    ENSURE(listener.has_value());
    server.adopt(std::move(*listener));
    listening.set_value();
    loop.run();
  }

  std::optional<http::Response> on_head(const http::Request&, const net::PeerCredentials&, std::size_t&) override {
    return std::nullopt;
  }
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials&) override {
    {
      const std::lock_guard guard(mutex_);
      last_ = std::move(request);
    }
    if (answer_.status != 0) server_->respond(exchange, answer_);
  }
  http::Response on_fault(int status, const std::string& reason) override {
    http::Response response;
    response.status = status;
    response.body = reason;
    return response;
  }

  const std::string path_;
  const http::Response answer_;
  std::mutex mutex_;
  http::Request last_;
  net::Waker* stop_ = nullptr;
  http::Server* server_ = nullptr;
  std::thread thread_;
};

http::Response answer(int status, http::Headers headers, std::string body) {
  http::Response response;
  response.status = status;
  response.headers = std::move(headers);
  response.body = std::move(body);
  return response;
}

http::Request get_status() {
  http::Request request;
  request.method = "GET";
  request.target = "/status";
  request.headers.add("Host", "localhost");
  return request;
}

// stdout and stderr go to files while this lives.
class Captured {
 public:
  Captured() {
    std::fflush(stdout);
    for (const int target : {STDOUT_FILENO, STDERR_FILENO}) {
      saved_[target - 1] = dup(target);
      const int file = open(dir_.file(std::to_string(target)).c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      dup2(file, target);
      close(file);
    }
  }
  ~Captured() {
    std::fflush(stdout);
    for (const int target : {STDOUT_FILENO, STDERR_FILENO}) {
      dup2(saved_[target - 1], target);
      close(saved_[target - 1]);
    }
  }
  Captured(Captured&&) = delete;
  std::string out() const {
    std::fflush(stdout);
    return dir_.read("1");
  }
  std::string err() const { return dir_.read("2"); }

 private:
  TempDir dir_;
  int saved_[2] = {-1, -1};
};

}  // namespace

TEST_CASE("a call gives the daemon's answer", "[ops][call]") {
  const TempDir dir;
  AnsweringDaemon daemon(dir.file("s"), answer(200, {{"X-Test", "1"}}, "{\"a\":1}"));
  const auto response = ops::call(dir.file("s"), get_status(), 30s);
  REQUIRE(response);
  CHECK(response->status == 200);
  CHECK(response->body == "{\"a\":1}");
  CHECK(daemon.last().target == "/status");
}

TEST_CASE("a call where nobody listens is unreachable, and one nobody answers times out", "[ops][call]") {
  const TempDir dir;
  const auto nobody = ops::call(dir.file("none"), get_status(), 30s);
  REQUIRE_FALSE(nobody);
  CHECK(nobody.error().code == Errc::unreachable);

  AnsweringDaemon silent(dir.file("s"), {});
  const auto never = ops::call(dir.file("s"), get_status(), 50ms);
  REQUIRE_FALSE(never);
  CHECK(never.error().code == Errc::timeout);
}

TEST_CASE("send delivers the file's bytes and prints the sequence", "[ops][call]") {
  const TempDir dir;
  AnsweringDaemon daemon(dir.file("s"), answer(204, {{"Twinspool-Sequence", "42"}}, ""));
  const std::string file = dir.write("m.json", "{ \"a\" : 1 }\n");
  std::string out;
  ops::ExitCode code{};
  {
    const Captured captured;
    code = ops::run_send({.twin = "hall/1", .id = "id-7", .file = file}, dir.file("s"));
    out = captured.out();
  }
  CHECK(code == ops::kDone);
  CHECK(out == "42\n");
  CHECK(daemon.last().body == "{ \"a\" : 1 }\n");
  CHECK(daemon.last().target == "/digitaltwins/hall%2F1/telemetry?api-version=2023-10-31");
  CHECK(daemon.last().headers.get("Message-Id") == "id-7");
}

TEST_CASE("send ends with 1 where it was refused, 2 for a bad argument and 3 where nobody is there", "[ops][call]") {
  const TempDir dir;
  AnsweringDaemon daemon(dir.file("s"),
                         answer(400, {}, R"({"error":{"code":"ValidationFailed","message":"the body is empty"}})"));
  const std::string file = dir.write("m.json", "");
  std::string err;
  {
    const Captured captured;
    CHECK(ops::run_send({.twin = "t", .file = file}, dir.file("s")) == ops::kFailed);
    CHECK(ops::run_send({.twin = "t", .file = dir.file("none")}, dir.file("s")) == ops::kFailed);
    CHECK(ops::run_send({.twin = "", .file = file}, dir.file("s")) == ops::kUsage);
    CHECK(ops::run_send({.twin = "t", .file = file}, dir.file("nobody")) == ops::kNotReachable);
    err = captured.err();
  }
  CHECK(err.find("refused with 400 ValidationFailed: the body is empty\n") != std::string::npos);
  CHECK(err.find(dir.file("none") + " cannot be read: No such file or directory\n") != std::string::npos);
  CHECK(err.find("not reachable at " + dir.file("nobody")) != std::string::npos);
}

TEST_CASE("status prints the document for people, or as it is", "[ops][call]") {
  const TempDir dir;
  AnsweringDaemon daemon(dir.file("s"), answer(200, {}, R"({"version":"9.9","state":"idle"})"));
  std::string people;
  std::string as_is;
  {
    const Captured captured;
    CHECK(ops::run_status(dir.file("s"), false) == ops::kDone);
    people = captured.out();
  }
  {
    const Captured captured;
    CHECK(ops::run_status(dir.file("s"), true) == ops::kDone);
    as_is = captured.out();
  }
  CHECK(people.find("State       idle since") != std::string::npos);
  CHECK(people.find('\x1b') == std::string::npos);
  CHECK(as_is == "{\"version\":\"9.9\",\"state\":\"idle\"}\n");
  {
    const Captured captured;
    CHECK(ops::run_status(dir.file("nobody"), false) == ops::kNotReachable);
  }
}

// ingest-bench: messages a second over the Unix socket, each client with one request in flight, beside what the disk
// and the HTTP server alone can do in the same run. The figures of different machines are compared by their ratios.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "ingest/ingest_server.h"
#include "net/event_loop.h"
#include "spool/spool.h"
#include "util/log.h"

namespace {

using namespace twinspool;
using Seconds = std::chrono::duration<double>;

struct Figures {
  double per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
};

Figures figures_of(std::vector<double>& latencies_us, Seconds elapsed) {
  if (latencies_us.empty()) return {};
  std::sort(latencies_us.begin(), latencies_us.end());
  const auto at = [&](double part) {
    return latencies_us[static_cast<std::size_t>(part * static_cast<double>(latencies_us.size() - 1))];
  };
  return {
      .per_second = static_cast<double>(latencies_us.size()) / elapsed.count(), .p50_us = at(0.5), .p99_us = at(0.99)};
}

double us_since(TimePoint start) { return std::chrono::duration<double, std::micro>(monotonic_now() - start).count(); }

std::string body_of(std::size_t bytes) {
  const std::string shell = R"({"v":""})";
  return R"({"v":")" + std::string(bytes - std::min(bytes, shell.size()), 'x') + R"("})";
}

// The floor: `together` messages are appended to a file, then one fdatasync. Figures are of the messages, latencies of
// the syncs.
Figures raw_appends(const std::string& path, const std::string& message, std::size_t together, Seconds time) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  ENSURE(descriptor >= 0);
  std::string batch;
  for (std::size_t i = 0; i < together; ++i) batch += message;
  std::vector<double> latencies;
  const TimePoint start = monotonic_now();
  while (monotonic_now() - start < time) {
    const TimePoint began = monotonic_now();
    ENSURE(::write(descriptor, batch.data(), batch.size()) == static_cast<ssize_t>(batch.size()));
    ENSURE(::fdatasync(descriptor) == 0);
    latencies.push_back(us_since(began));
  }
  const Seconds elapsed = monotonic_now() - start;
  ::close(descriptor);
  ::unlink(path.c_str());
  Figures figures = figures_of(latencies, elapsed);
  figures.per_second *= static_cast<double>(together);
  return figures;
}

int connect_to(const std::string& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ENSURE(path.size() < sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ENSURE(::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return descriptor;
}

// Each client sends its next request when it has the answer to the last one.
class Load {
 public:
  Load(const std::string& socket, std::size_t clients, const std::string& body) : body_(body) {
    for (std::size_t i = 0; i < clients; ++i)
      clients_.push_back({.descriptor = connect_to(socket), .twin = i, .sent_at = {}});
  }
  ~Load() {
    for (const Client& client : clients_) ::close(client.descriptor);
  }
  Load(Load&&) = delete;

  Figures run(Seconds time) {
    for (Client& client : clients_) send(client);
    std::vector<pollfd> polled;
    for (const Client& client : clients_) polled.push_back({.fd = client.descriptor, .events = POLLIN, .revents = 0});
    const TimePoint start = monotonic_now();
    std::size_t in_flight = clients_.size();
    while (in_flight > 0) {
      constexpr int kHangMs = 60'000;
      ENSURE(::poll(polled.data(), polled.size(), kHangMs) > 0);
      const bool over = monotonic_now() - start >= time;
      for (std::size_t i = 0; i < polled.size(); ++i) {
        if (polled[i].revents == 0) continue;
        take_answer(clients_[i]);
        if (over) {
          --in_flight;
        } else {
          send(clients_[i]);
        }
      }
    }
    return figures_of(latencies_, monotonic_now() - start);
  }

 private:
  struct Client {
    int descriptor;
    std::size_t twin;
    TimePoint sent_at;
  };

  void send(Client& client) {
    const std::string request =
        "POST /digitaltwins/twin-" + std::to_string(client.twin) +
        "/telemetry?api-version=2023-10-31 HTTP/1.1\r\nHost: gateway\r\nMessage-Id: bench-" + std::to_string(getpid()) +
        "-" + std::to_string(++ids()) +
        "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body_.size()) + "\r\n\r\n" + body_;
    client.sent_at = monotonic_now();
    ENSURE(::send(client.descriptor, request.data(), request.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(request.size()));
  }

  void take_answer(Client& client) {
    std::array<char, 4096> buffer{};
    std::string answer;
    while (!answer.ends_with("\r\n\r\n")) {  // a 204 has no body
      const ssize_t count = ::recv(client.descriptor, buffer.data(), buffer.size(), 0);
      ENSURE(count > 0);
      answer.append(buffer.data(), static_cast<std::size_t>(count));
    }
    if (!answer.starts_with("HTTP/1.1 204")) {
      std::fprintf(stderr, "ingest-bench: instead of a 204: %s\n", answer.c_str());
      std::abort();
    }
    latencies_.push_back(us_since(client.sent_at));
  }

  static std::uint64_t& ids() {  // of the whole run: a repeated Message-Id would only be a duplicate
    static std::uint64_t count = 0;
    return count;
  }

  const std::string body_;
  std::vector<Client> clients_;
  std::vector<double> latencies_;
};

struct NothingStored final : http::Server::Handler {
  std::optional<http::Response> on_head(const http::Request&, const net::PeerCredentials&, std::size_t&) override {
    return std::nullopt;
  }
  void on_request(http::ExchangeId exchange, http::Request&&, const net::PeerCredentials&) override {
    server->respond(exchange, {.status = 204, .headers = {{"Twinspool-Sequence", "1"}}, .body = ""});
  }
  http::Response on_fault(int status, const std::string&) override {
    return {.status = status, .headers = {}, .body = ""};
  }
  http::Server* server = nullptr;
};

// Runs `work` here while `serve`, on a thread of its own, sets up a server and turns its loop.
void with_server(const std::function<void(net::EventLoop&, std::function<void()> ready)>& serve,
                 const std::function<void()>& work) {
  std::promise<net::Waker*> ready;
  std::thread thread([&] {
    net::EventLoop loop;
    net::Waker stop(loop, [&] { loop.stop(); });
    serve(loop, [&] { ready.set_value(&stop); });
  });
  net::Waker* stop = ready.get_future().get();
  work();
  stop->wake();
  thread.join();
}

void serve_without_store(net::EventLoop& loop, const std::string& socket, const std::function<void()>& ready) {
  NothingStored handler;
  http::Server server(loop, {}, handler);
  handler.server = &server;
  auto listener = net::Listener::listen_unix(
      loop, {.path = socket, .mode = 0600, .group = ""},
      [&](std::unique_ptr<net::Stream> stream, net::PeerCredentials peer) { server.add(std::move(stream), peer); });
  ENSURE(listener.has_value());
  server.adopt(std::move(*listener));
  ready();
  loop.run();
}

void serve_with_store(net::EventLoop& loop, const std::string& socket, const std::string& database,
                      const std::function<void()>& ready) {
  StoreConfig store;
  store.path = database;
  const std::vector<ListenConfig> sockets = {{.path = socket, .mode = 0600, .group = ""}};
  auto spool = Spool::open(store, loop, Spool::Writer::thread, {}, ingest::IngestServer::sources_of(sockets));
  if (!spool) {
    std::fprintf(stderr, "ingest-bench: %s\n", spool.error().what.c_str());
    std::abort();
  }
  net::InheritedSockets inherited;
  auto server = ingest::IngestServer::listen(loop, sockets, {}, **spool, inherited);
  ENSURE(server.has_value());
  ready();
  loop.run();
}

void run(const std::filesystem::path& directory, Seconds time, std::size_t body_bytes) {
  const std::string socket = directory / "bench.sock";
  const std::string body = body_of(body_bytes);
  constexpr std::array<std::size_t, 3> kClients = {1, 8, 64};
  std::printf("%zu-byte bodies, %.0f s each\n\n", body.size(), time.count());
  std::printf("%7s %12s %8s %12s %8s %8s %12s %8s %8s %8s\n", "clients", "raw/s", "p50 us", "store/s", "p50 us",
              "p99 us", "no store/s", "p50 us", "of raw", "of none");
  for (const std::size_t clients : kClients) {
    const Figures raw = raw_appends(directory / "raw", body, clients, time);
    Figures none;
    with_server([&](net::EventLoop& loop, const auto& ready) { serve_without_store(loop, socket, ready); },
                [&] { none = Load(socket, clients, body).run(time); });
    Figures stored;
    with_server(
        [&](net::EventLoop& loop, const auto& ready) {
          serve_with_store(loop, socket, directory / ("queue-" + std::to_string(clients) + ".db"), ready);
        },
        [&] { stored = Load(socket, clients, body).run(time); });
    std::printf("%7zu %12.0f %8.0f %12.0f %8.0f %8.0f %12.0f %8.0f %8.2f %8.2f\n", clients, raw.per_second, raw.p50_us,
                stored.per_second, stored.p50_us, stored.p99_us, none.per_second, none.p50_us,
                stored.per_second / raw.per_second, stored.per_second / none.per_second);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("Durable ingest over HTTP, beside the disk alone and the HTTP server alone.");
  std::string directory = ".";
  double seconds = 5;
  std::size_t body_bytes = 300;
  app.add_option("--dir", directory, "where the database goes: a directory on the disk to measure")
      ->capture_default_str();
  app.add_option("--seconds", seconds, "for each figure")->capture_default_str();
  app.add_option("--body", body_bytes, "bytes of a message's body")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  std::string own = directory + "/ingest-bench-XXXXXX";
  if (::mkdtemp(own.data()) == nullptr) {
    std::fprintf(stderr, "ingest-bench: cannot make a directory in %s\n", directory.c_str());
    return 1;
  }
  log::set_level(log::Level::warn);
  run(own, Seconds(seconds), body_bytes);
  std::error_code ignored;
  std::filesystem::remove_all(own, ignored);
  return 0;
}

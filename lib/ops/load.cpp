#include "ops/load.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <ctime>
#include <deque>
#include <string_view>
#include <vector>

#include "ops/send.h"

namespace twinspool::ops {
namespace {

using namespace std::chrono_literals;

constexpr Duration kHang = 60s;

struct Client {
  int descriptor = -1;
  bool waits_to_send = false;  // what is in to_send did not fit
  std::string target;
  std::string to_send;
  std::string received;
  std::deque<TimePoint> due;  // of the requests in flight, in order
};

class Load {
 public:
  explicit Load(const LoadOptions& options)
      : options_(options), run_(random_uuid()), clients_(options.clients), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    const std::string shell = R"({"v":""})";
    body_ = R"({"v":")" + std::string(std::max(options.body_bytes, shell.size()) - shell.size(), 'x') + R"("})";
    per_request_ = std::max<std::size_t>(1, options.batch);
  }
  ~Load() {
    for (const Client& client : clients_) {
      if (client.descriptor >= 0) ::close(client.descriptor);
    }
    if (epoll_ >= 0) ::close(epoll_);
  }
  Load(Load&&) = delete;

  Result<LoadReport> run() {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (auto connected = connect(clients_[i], i); !connected) return tl::unexpected(connected.error());
    }
    start_ = now_ = last_answer_ = monotonic_now();
    while (!over() || in_flight_ > 0) {
      start_requests();
      if (auto turned = turn(); !turned) return tl::unexpected(turned.error());
    }
    report_.seconds = std::chrono::duration<double>(monotonic_now() - start_).count();
    return std::move(report_);
  }

 private:
  Result<void> connect(Client& client, std::size_t number) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (options_.socket.size() >= sizeof address.sun_path)
      return fail(Errc::invalid, "the path of the socket is too long: " + options_.socket);
    options_.socket.copy(address.sun_path, options_.socket.size());
    client.target = options_.twin_prefix + std::to_string(number);
    client.descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client.descriptor < 0 ||
        ::connect(client.descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return fail(Errc::unreachable, std::strerror(errno));
    }
    return watch(client, EPOLL_CTL_ADD, EPOLLIN);
  }

  Result<void> watch(Client& client, int operation, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &client;
    if (::epoll_ctl(epoll_, operation, client.descriptor, &event) == 0) return {};
    return fail(Errc::invalid, std::string("cannot wait for the connections: ") + std::strerror(errno));
  }

  bool over() const {
    if (options_.count > 0 && started_ >= options_.count) return true;
    return options_.duration > Duration::zero() && now_ - start_ >= options_.duration;
  }

  // With a rate: when the next request is to start, whatever became of those before.
  TimePoint next_due() const {
    return start_ + std::chrono::duration_cast<Duration>(
                        std::chrono::duration<double>(static_cast<double>(started_) / options_.rate));
  }

  void start_requests() {
    for (std::size_t seen = 0; seen < clients_.size() && !over() && in_flight_ < clients_.size() * options_.in_flight;
         ++seen) {
      Client& client = clients_[next_client_];
      next_client_ = (next_client_ + 1) % clients_.size();
      while (client.due.size() < options_.in_flight && !over()) {
        const TimePoint due = options_.rate > 0 ? next_due() : now_;
        if (due > now_) return;
        client.to_send += request(client);
        client.due.push_back(due);
        ++in_flight_;
        started_ += per_request_;
        if (options_.rate > 0) break;  // the next one is another client's
      }
      if (!client.to_send.empty() && !client.waits_to_send) send_some(client);
    }
  }

  std::string id() { return run_ + "-" + std::to_string(++ids_); }

  std::string request(const Client& client) {
    if (options_.batch == 0) {
      return "POST /digitaltwins/" + client.target +
             "/telemetry?api-version=2023-10-31 HTTP/1.1\r\nHost: gateway\r\nMessage-Id: " + id() +
             "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body_.size()) + "\r\n\r\n" +
             body_;
    }
    std::string lines;
    for (std::size_t i = 0; i < options_.batch; ++i) {
      lines += R"({"twin":")" + client.target + R"(","messageId":")" + id() + R"(","telemetry":)" + body_ + "}\n";
    }
    return "POST /telemetry:batch HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/x-ndjson\r\nContent-Length: " +
           std::to_string(lines.size()) + "\r\n\r\n" + lines;
  }

  Result<void> turn() {
    if (in_flight_ > 0 && now_ - last_answer_ > kHang) return fail(Errc::timeout, "no answer for a minute");
    Duration wait = kHang;
    if (options_.rate > 0 && !over()) wait = std::clamp<Duration>(next_due() - now_, 50us, 1s);
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(wait);
    const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(wait - whole);
    const timespec limit{.tv_sec = static_cast<std::time_t>(whole.count()), .tv_nsec = static_cast<long>(rest.count())};
    std::array<epoll_event, 256> events{};
    const int count = ::epoll_pwait2(epoll_, events.data(), events.size(), &limit, nullptr);
    if (count < 0 && errno != EINTR) return fail(Errc::invalid, std::string("cannot wait: ") + std::strerror(errno));
    now_ = monotonic_now();
    for (int i = 0; i < count; ++i) {
      Client& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
      if ((events[static_cast<std::size_t>(i)].events & EPOLLOUT) != 0) send_some(client);
      if ((events[static_cast<std::size_t>(i)].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) continue;
      if (auto taken = receive_some(client); !taken) return taken;
    }
    return {};
  }

  // What cannot be sent shows when the end of the connection is read.
  void send_some(Client& client) {
    const ssize_t count =
        ::send(client.descriptor, client.to_send.data(), client.to_send.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) client.to_send.erase(0, static_cast<std::size_t>(count));
    if (client.waits_to_send == !client.to_send.empty()) return;
    client.waits_to_send = !client.to_send.empty();
    (void)watch(client, EPOLL_CTL_MOD, client.waits_to_send ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  Result<void> receive_some(Client& client) {
    char bytes[65536];
    const ssize_t count = ::recv(client.descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (count <= 0) return fail(Errc::closed, "the daemon closed a connection");
    client.received.append(bytes, static_cast<std::size_t>(count));
    std::size_t eaten = 0;
    while (const std::size_t size = answer_size(std::string_view(client.received).substr(eaten))) {
      if (client.due.empty()) return fail(Errc::protocol, "an answer to nothing");
      take(client, std::string_view(client.received).substr(eaten, size));
      eaten += size;
    }
    client.received.erase(0, eaten);
    return {};
  }

  // 0: not all of it is there yet.
  static std::size_t answer_size(std::string_view bytes) {
    const std::size_t head = bytes.find("\r\n\r\n");
    if (head == std::string_view::npos) return 0;
    constexpr std::string_view kLength = "\r\nContent-Length: ";
    std::size_t body = 0;
    if (const std::size_t at = bytes.find(kLength); at < head)
      std::from_chars(bytes.data() + at + kLength.size(), bytes.data() + head, body);
    const std::size_t size = head + 4 + body;
    return size <= bytes.size() ? size : 0;
  }

  void take(Client& client, std::string_view answer) {
    constexpr std::size_t kStatusAt = 9;  // behind "HTTP/1.1 "
    int status = 0;
    if (answer.size() > kStatusAt + 3)
      std::from_chars(answer.data() + kStatusAt, answer.data() + kStatusAt + 3, status);
    last_answer_ = now_;
    if (status == 204) {
      const auto took = std::chrono::duration_cast<std::chrono::microseconds>(last_answer_ - client.due.front());
      report_.latencies.add(static_cast<std::uint64_t>(took.count()));
      report_.messages += per_request_;
    } else {
      if (report_.refused.empty()) report_.first_refusal = answer.substr(answer.find("\r\n\r\n") + 4);
      ++report_.refused[status];
    }
    client.due.pop_front();
    --in_flight_;
  }

  const LoadOptions& options_;
  const std::string run_;  // begins every Message-Id: no two runs have the same
  std::string body_;
  std::size_t per_request_ = 1;
  std::vector<Client> clients_;
  const int epoll_;
  std::size_t next_client_ = 0;
  std::size_t in_flight_ = 0;
  std::uint64_t started_ = 0;
  std::uint64_t ids_ = 0;
  TimePoint start_{}, now_{}, last_answer_{};  // now_: as of this turn
  LoadReport report_;
};

}  // namespace

Result<LoadReport> run_load(const LoadOptions& options) { return Load(options).run(); }

}  // namespace twinspool::ops

// forward-relay-bench: a TCP relay on 127.0.0.1 that hands on every byte a fixed time later, each way: a long line
// without a kernel's help. Prints its port, runs until its standard input ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <list>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Late {
  Clock::time_point due;
  std::string bytes;  // empty: the end
};
struct Way {
  int from, to;
  std::deque<Late> late{};
  bool ended = false;
};
struct Pair {
  std::array<Way, 2> ways;
  bool dead = false;
};

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int make_socket() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return descriptor;
}

void prompt(int descriptor) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void take(Way& way, Clock::duration delay, bool& dead) {
  std::array<char, 65536> buffer{};
  const ssize_t count = ::recv(way.from, buffer.data(), buffer.size(), 0);
  if (count < 0) {
    dead = true;
    return;
  }
  way.ended = count == 0;
  way.late.push_back({Clock::now() + delay, std::string(buffer.data(), static_cast<std::size_t>(count))});
}

void hand_on(Way& way, Clock::time_point now, bool& dead) {
  while (!way.late.empty() && way.late.front().due <= now && !dead) {
    const std::string& bytes = way.late.front().bytes;
    if (bytes.empty()) {
      ::shutdown(way.to, SHUT_WR);
    } else if (::send(way.to, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) {
      dead = true;
    }
    way.late.pop_front();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: forward-relay-bench PORT DELAY_MS   (each way)\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const sockaddr_in target = loopback(std::atoi(argv[1]));
  const auto delay = std::chrono::microseconds(static_cast<int>(std::atof(argv[2]) * 1000));
  const int listener = make_socket();
  sockaddr_in own = loopback(0);
  socklen_t length = sizeof own;
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 || ::listen(listener, 512) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&own), &length) != 0) {
    std::perror("forward-relay-bench");
    return 1;
  }
  std::printf("%d\n", ntohs(own.sin_port));
  std::fflush(stdout);

  std::list<Pair> pairs;
  for (;;) {
    std::vector<pollfd> polled{{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                               {.fd = listener, .events = POLLIN, .revents = 0}};
    auto due = Clock::now() + std::chrono::seconds(1);
    for (Pair& pair : pairs) {
      for (Way& way : pair.ways) {
        polled.push_back({.fd = way.ended ? -1 : way.from, .events = POLLIN, .revents = 0});
        if (!way.late.empty()) due = std::min(due, way.late.front().due);
      }
    }
    const auto left = std::max(due - Clock::now(), Clock::duration::zero());
    const timespec wait{.tv_sec = left / std::chrono::seconds(1),
                        .tv_nsec = left % std::chrono::seconds(1) / std::chrono::nanoseconds(1)};
    ::ppoll(polled.data(), polled.size(), &wait, nullptr);
    std::size_t at = 2;
    for (Pair& pair : pairs) {
      for (Way& way : pair.ways) {
        if (polled[at++].revents != 0 && !way.ended) take(way, delay, pair.dead);
        hand_on(way, Clock::now(), pair.dead);
      }
    }
    pairs.remove_if([](const Pair& pair) {
      const bool over = pair.dead || (pair.ways[0].ended && pair.ways[1].ended && pair.ways[0].late.empty() &&
                                      pair.ways[1].late.empty());
      if (over) {
        ::close(pair.ways[0].from);
        ::close(pair.ways[1].from);
      }
      return over;
    });
    if (polled[1].revents != 0) {
      const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      const int server = make_socket();
      if (client >= 0 && ::connect(server, reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0) {
        prompt(client);
        prompt(server);
        pairs.push_back({.ways = {Way{client, server}, Way{server, client}}});
      } else {
        ::close(client);
        ::close(server);
      }
    }
    if (polled[0].revents != 0) {
      char byte;
      if (::read(STDIN_FILENO, &byte, 1) <= 0) return 0;
    }
  }
}

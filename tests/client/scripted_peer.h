// A peer on a Unix socket that does what a script says, one step a request, and keeps what it was sent.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "util/error.h"

namespace twinspool {

class ScriptedPeer {
 public:
  struct Step {
    std::string answer;  // bytes as they are
    bool close = false;  // behind it
  };

  // Listens at once; the script runs on a thread of its own and ends with its last step.
  ScriptedPeer(const std::string& path, std::vector<Step> script) : script_(std::move(script)) {
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ENSURE(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, path.size());
    ENSURE(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ENSURE(::listen(listener_, 8) == 0);
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedPeer() {
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
  }
  ScriptedPeer(ScriptedPeer&&) = delete;

  // Waits for the end of the script.
  const std::vector<std::string>& requests() {
    if (thread_.joinable()) thread_.join();
    return requests_;
  }
  std::size_t connections() {
    requests();
    return connections_;
  }

 private:
  void run() {
    int peer = -1;
    for (const Step& step : script_) {
      std::string request;
      while (!take_request(peer, request)) {  // the client came with a new connection instead
        if (peer >= 0) ::close(peer);
        pollfd polled{.fd = listener_, .events = POLLIN, .revents = 0};
        constexpr int kHangMs = 30'000;
        if (::poll(&polled, 1, kHangMs) != 1) return;
        peer = ::accept(listener_, nullptr, nullptr);
        ++connections_;
      }
      requests_.push_back(std::move(request));
      (void)::send(peer, step.answer.data(), step.answer.size(), MSG_NOSIGNAL);
      if (step.close) {
        ::close(peer);
        peer = -1;
      }
    }
    if (peer >= 0) ::close(peer);
  }

  static bool take_request(int peer, std::string& request) {
    if (peer < 0) return false;
    request.clear();
    while (!is_whole(request)) {
      char bytes[4096];
      const ssize_t count = ::recv(peer, bytes, sizeof bytes, 0);
      if (count <= 0) return false;
      request.append(bytes, static_cast<std::size_t>(count));
    }
    return true;
  }

  static bool is_whole(std::string_view request) {
    const std::size_t head = request.find("\r\n\r\n");
    if (head == std::string_view::npos) return false;
    constexpr std::string_view kLength = "Content-Length: ";
    const std::size_t at = request.find(kLength);
    ENSURE(at < head);
    std::size_t length = 0;
    std::from_chars(request.data() + at + kLength.size(), request.data() + head, length);
    return request.size() >= head + 4 + length;
  }

  std::vector<Step> script_;
  std::vector<std::string> requests_;
  std::size_t connections_ = 0;
  int listener_ = -1;
  std::thread thread_;
};

}  // namespace twinspool

// Connecting, of socket.h.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <array>

#include "net/socket.h"
#include "net/socket_stream.h"

namespace twinspool::net {
namespace {

using Connected = std::function<void(Result<std::unique_ptr<Stream>>)>;

class Connect final : public Pending {
 public:
  Connect(EventLoop& loop, SocketHandle handle, std::string target, Connected done)
      : loop_(loop),
        target_(std::move(target)),
        done_(std::move(done)),
        failing_(loop, [this] { finish(); }),
        handle_(std::move(handle)) {
    handle_->data = this;
  }

  void to_tcp(const Address& address) {
    auto request = std::make_unique<uv_connect_t>();
    status_ = uv_tcp_connect(request.get(), reinterpret_cast<uv_tcp_t*>(handle_.get()),
                             reinterpret_cast<const sockaddr*>(&address.storage), &Connect::on_done);
    if (status_ != 0) return failing_.post();
    (void)request.release();
    set_tcp_options(handle_.get());
  }

  void to_unix(const std::string& path) {
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {  // libuv would cut it short
      status_ = UV_ENAMETOOLONG;
      return failing_.post();
    }
    auto request = std::make_unique<uv_connect_t>();
    uv_pipe_connect(request.release(), reinterpret_cast<uv_pipe_t*>(handle_.get()), path.c_str(), &Connect::on_done);
  }

 private:
  static void on_done(uv_connect_t* raw, int status) {
    const std::unique_ptr<uv_connect_t> request(raw);
    auto* self = owner_of<Connect>(request->handle);
    if (self == nullptr) return;
    self->status_ = status;
    self->finish();
  }

  void finish() {
    const Connected done = std::move(done_);  // which may destroy this
    if (status_ == 0) return done(std::make_unique<SocketStream>(loop_, std::move(handle_)));
    Error error = socket_error(status_, "cannot connect to " + target_);
    if (error.code == Errc::closed) error.code = Errc::unreachable;
    done(tl::unexpected(std::move(error)));
  }

  EventLoop& loop_;
  const std::string target_;
  Connected done_;
  int status_ = 0;
  Deferred failing_;
  SocketHandle handle_;  // last: closed before what its callback uses
};

}  // namespace

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> name{};
  if (storage.ss_family == AF_INET6) {
    const auto* address = reinterpret_cast<const sockaddr_in6*>(&storage);
    uv_ip6_name(address, name.data(), name.size());
    return std::string("[") + name.data() + "]:" + std::to_string(ntohs(address->sin6_port));
  }
  const auto* address = reinterpret_cast<const sockaddr_in*>(&storage);
  uv_ip4_name(address, name.data(), name.size());
  return std::string(name.data()) + ":" + std::to_string(ntohs(address->sin_port));
}

std::unique_ptr<Pending> connect_tcp(EventLoop& loop, const Address& address, Connected done) {
  auto connect = std::make_unique<Connect>(loop, make_tcp_handle(loop), address.text(), std::move(done));
  connect->to_tcp(address);
  return connect;
}

std::unique_ptr<Pending> connect_unix(EventLoop& loop, const std::string& path, Connected done) {
  auto connect = std::make_unique<Connect>(loop, make_unix_handle(loop), path, std::move(done));
  connect->to_unix(path);
  return connect;
}

}  // namespace twinspool::net

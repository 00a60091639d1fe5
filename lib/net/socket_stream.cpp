#include "net/socket_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

namespace twinspool::net {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr int kKeepAliveIdleSeconds = 15;  // with the next two: a peer that vanished is noticed within 30 s
constexpr int kKeepAliveIntervalSeconds = 5;
constexpr int kKeepAliveProbes = 3;
constexpr unsigned kUserTimeoutMs = 25'000;  // the kernel looks only when it sends again: up to a few seconds later

// One buffer a thread, not one a connection: what was read is used up before the next read.
uv_buf_t read_buffer() {
  thread_local std::vector<char> buffer(kReadBytes);
  return uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
}

template <class Value>
void set_option(int descriptor, int level, int name, Value value) {
  // A kernel without one of these still carries the connection.
  (void)setsockopt(descriptor, level, name, &value, sizeof value);
}

Errc code_of(int uv_status) {
  switch (uv_status) {
    case UV_ETIMEDOUT:
      return Errc::timeout;
    case UV_ECONNREFUSED:
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
    case UV_ENETDOWN:
    case UV_EADDRNOTAVAIL:
    case UV_ENOENT:
    case UV_EACCES:
    case UV_EPERM:
    case UV_EAGAIN:
      return Errc::unreachable;
    default:
      return Errc::closed;
  }
}

}  // namespace

void SocketClose::operator()(uv_stream_t* handle) const {
  handle->data = nullptr;  // from here on nobody is home
  uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* closed) {
    if (closed->type == UV_TCP) {
      delete reinterpret_cast<uv_tcp_t*>(closed);
    } else {
      delete reinterpret_cast<uv_pipe_t*>(closed);
    }
  });
}

SocketHandle make_tcp_handle(EventLoop& loop) {
  auto handle = std::make_unique<uv_tcp_t>();
  ENSURE(uv_tcp_init(loop.raw(), handle.get()) == 0);
  return SocketHandle(reinterpret_cast<uv_stream_t*>(handle.release()));
}

SocketHandle make_unix_handle(EventLoop& loop) {
  auto handle = std::make_unique<uv_pipe_t>();
  ENSURE(uv_pipe_init(loop.raw(), handle.get(), 0) == 0);
  return SocketHandle(reinterpret_cast<uv_stream_t*>(handle.release()));
}

void set_tcp_options(uv_stream_t* handle) {
  if (handle->type != UV_TCP) return;
  uv_os_fd_t descriptor = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &descriptor) != 0) return;
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
  set_option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
}

Result<SocketHandle> adopt_socket(EventLoop& loop, int descriptor, bool is_unix) {
  SocketHandle handle = is_unix ? make_unix_handle(loop) : make_tcp_handle(loop);
  const int status = is_unix ? uv_pipe_open(reinterpret_cast<uv_pipe_t*>(handle.get()), descriptor)
                             : uv_tcp_open(reinterpret_cast<uv_tcp_t*>(handle.get()), descriptor);
  if (status != 0) {
    ::close(descriptor);
    return tl::unexpected(socket_error(status, "cannot take the connection over"));
  }
  set_tcp_options(handle.get());
  return handle;
}

Error socket_error(int uv_status, const std::string& what) {
  return Error{code_of(uv_status), what + ": " + uv_strerror(uv_status)};
}

SocketStream::SocketStream(EventLoop& loop, SocketHandle handle)
    : failing_(loop, [this] { report_failure(); }), handle_(std::move(handle)) {
  handle_->data = this;
}

void SocketStream::start(Observer& observer) {
  ENSURE(observer_ == nullptr);
  observer_ = &observer;
  if (failure_) failing_.post();
  read_on();
}

void SocketStream::read_on() {
  if (observer_ == nullptr || reading_ || paused_ || ended_ || failed_) return;
  const int status = uv_read_start(
      handle_.get(), [](uv_handle_t*, std::size_t, uv_buf_t* buffer) { *buffer = read_buffer(); },
      [](uv_stream_t* handle, ssize_t count, const uv_buf_t* buffer) {
        if (auto* self = owner_of<SocketStream>(handle)) self->on_read(count, *buffer);
      });
  if (status != 0) return fail_later(status, "read");
  reading_ = true;
}

void SocketStream::on_read(ssize_t count, const uv_buf_t& buffer) {
  if (failed_ || count == 0) return;
  if (count > 0) return observer_->on_bytes({buffer.base, static_cast<std::size_t>(count)});
  uv_read_stop(handle_.get());
  reading_ = false;
  if (count != UV_EOF) return fail_later(static_cast<int>(count), "read");
  ended_ = true;
  observer_->on_end();
}

void SocketStream::write(std::string bytes) {
  ENSURE(!finished_);
  if (failed_ || bytes.empty()) return;
  // Nearly always the kernel has room, and no request is needed.
  std::size_t sent = 0;
  if (unwritten_ == 0) {
    uv_buf_t whole = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
    const int status = uv_try_write(handle_.get(), &whole, 1);
    if (status < 0 && status != UV_EAGAIN) return fail_later(status, "write");
    if (status > 0) sent = static_cast<std::size_t>(status);
    if (sent == bytes.size()) return;
  }
  struct Write {
    uv_write_t request{};
    std::string bytes;
    std::size_t rest = 0;
  };
  auto write = std::make_unique<Write>();
  write->bytes = std::move(bytes);
  write->rest = write->bytes.size() - sent;
  write->request.data = write.get();
  uv_buf_t part = uv_buf_init(write->bytes.data() + sent, static_cast<unsigned>(write->rest));
  const int status = uv_write(&write->request, handle_.get(), &part, 1, [](uv_write_t* request, int result) {
    const std::unique_ptr<Write> done(static_cast<Write*>(request->data));
    if (auto* self = owner_of<SocketStream>(request->handle)) self->on_written(done->rest, result);
  });
  if (status != 0) return fail_later(status, "write");
  unwritten_ += write->rest;
  (void)write.release();  // libuv has it now
}

void SocketStream::on_written(std::size_t bytes, int status) {
  unwritten_ -= bytes;
  if (failed_) return;
  if (status != 0) return fail_later(status, "write");
  if (unwritten_ == 0 && observer_ != nullptr) observer_->on_drained();
}

void SocketStream::pause_reading() {
  paused_ = true;
  if (reading_) uv_read_stop(handle_.get());
  reading_ = false;
}

void SocketStream::resume_reading() {
  paused_ = false;
  read_on();
}

void SocketStream::finish_writing() {
  if (finished_ || failed_) return;
  finished_ = true;
  auto request = std::make_unique<uv_shutdown_t>();
  // Its failure is that of the connection, which reading or writing meets too.
  const int status = uv_shutdown(request.get(), handle_.get(), [](uv_shutdown_t* done, int) { delete done; });
  if (status == 0) (void)request.release();
}

// Bytes that arrived before the failure are still delivered: an early answer explains why the peer stopped reading.
void SocketStream::fail_later(int uv_status, const char* what) {
  if (failure_) return;
  failure_ = std::make_unique<Error>(socket_error(uv_status, what));
  if (observer_ != nullptr) failing_.post();
}

void SocketStream::report_failure() {
  if (failed_) return;
  failed_ = true;
  pause_reading();
  observer_->on_failed(*failure_);
}

}  // namespace twinspool::net

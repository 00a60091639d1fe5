// Inside net: the Stream over a connected TCP or Unix socket, and the handle it needs before it is connected.
#pragma once

#include <memory>
#include <string>

#include "net/event_loop.h"
#include "net/stream.h"

namespace twinspool::net {

struct SocketClose {  // as UvClose, for a handle that is either uv_tcp_t or uv_pipe_t
  void operator()(uv_stream_t* handle) const;
};
using SocketHandle = std::unique_ptr<uv_stream_t, SocketClose>;

SocketHandle make_tcp_handle(EventLoop& loop);
SocketHandle make_unix_handle(EventLoop& loop);

// TCP_NODELAY, keep-alive and TCP_USER_TIMEOUT; does nothing to a Unix socket.
void set_tcp_options(uv_stream_t* handle);

// Takes a connected descriptor over, whatever comes of it.
Result<SocketHandle> adopt_socket(EventLoop& loop, int descriptor, bool is_unix);

Error socket_error(int uv_status, const std::string& what);

class SocketStream final : public Stream {
 public:
  SocketStream(EventLoop& loop, SocketHandle handle);
  ~SocketStream() override = default;

  void start(Observer& observer) override;
  void write(std::string bytes) override;
  std::size_t unwritten() const override { return unwritten_; }
  void pause_reading() override;
  void resume_reading() override;
  void finish_writing() override;

 private:
  void read_on();
  void on_read(ssize_t count, const uv_buf_t& buffer);
  void on_written(std::size_t bytes, int status);
  void fail_later(int uv_status, const char* what);
  void report_failure();

  Observer* observer_ = nullptr;
  std::size_t unwritten_ = 0;
  bool paused_ = false;
  bool reading_ = false;
  bool ended_ = false;     // the peer has finished writing
  bool finished_ = false;  // we have
  bool failed_ = false;
  std::unique_ptr<Error> failure_;  // to be reported
  Deferred failing_;
  SocketHandle handle_;  // last: closed before what its callbacks use
};

}  // namespace twinspool::net

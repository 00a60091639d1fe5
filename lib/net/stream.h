// Stream: an ordered two-way flow of bytes, the seam under HTTP and TLS. Sockets, TLS over a stream, and the memory
// pairs of the tests are Streams.
//
// Loop thread. A call never calls the observer back before it has returned. An observer may destroy other objects, but
// ends the stream itself (or its own owner) from inside a callback only by EventLoop::retire.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "util/error.h"

namespace twinspool::net {

class Stream {
 public:
  class Observer {
   public:
    virtual void on_bytes(std::string_view bytes) = 0;  // valid during the call
    virtual void on_end() = 0;                          // the peer will send no more; writing still works
    virtual void on_drained() = 0;                      // unwritten() fell to 0
    virtual void on_failed(const Error& error) = 0;     // once; no other call after it

   protected:
    ~Observer() = default;
  };

  virtual ~Stream() = default;  // closes at once; what is unwritten is lost

  // Before anything else, once; the observer outlives the stream. Reading begins.
  virtual void start(Observer& observer) = 0;

  // Hands over all of `bytes`; they leave in call order. The caller bounds what it hands over by looking at
  // unwritten().
  virtual void write(std::string bytes) = 0;
  virtual std::size_t unwritten() const = 0;

  // Back-pressure: while paused, the peer's bytes stay with the peer (at most one read already made is still
  // delivered).
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;

  // Tells the peer that nothing follows, after what is unwritten.
  virtual void finish_writing() = 0;
};

}  // namespace twinspool::net

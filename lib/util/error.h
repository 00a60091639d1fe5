// Operating errors are values, bugs stop the process.
//
// An operating error (a full disk, a bad request, a dead peer) is an Error inside a Result: the caller branches on the
// Errc, people read the text. A broken invariant is a bug: ENSURE stops the process, in release builds too, because a
// store-and-forward daemon that goes on with a wrong idea of its queue does more harm than one that restarts.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace twinspool {

enum class Errc : std::uint8_t {
  invalid,      // the input is wrong; the same input fails again
  full,         // a limit is reached; later may succeed
  timeout,      // a deadline passed
  closed,       // the other side, or our own shutdown, ended it
  unreachable,  // name look-up or connection failed
  protocol,     // the other side broke its protocol
  tls,          // handshake or certificate
  storage,      // disk or database
  corrupt,      // a file was read and makes no sense
  busy,         // somebody else holds it (a lock, a socket path)
  refused,      // somebody on the way refuses us: it fails until a person mends it
};

struct Error {
  Errc code;
  std::string what;  // one sentence without a full stop: what failed, with which value, what would be accepted
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Errc code, std::string what) {
  return tl::unexpected<Error>(Error{code, std::move(what)});
}

[[noreturn]] void ensure_failed(const char* condition, const char* file, int line);

}  // namespace twinspool

#define ENSURE(condition) \
  ((condition) ? static_cast<void>(0) : ::twinspool::ensure_failed(#condition, __FILE__, __LINE__))

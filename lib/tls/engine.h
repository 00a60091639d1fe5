// TLS over memory: bytes in, bytes out, no I/O. One Context for many connections, one Engine each.
//
// Client contexts always verify chain and host name (RFC 9525: subject alternative names only); there is no switch to
// turn that off. TLS 1.2 at the least, no renegotiation, no compression, no early data. A close without close_notify is
// an error, so a cut answer never looks like a whole one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "util/error.h"

namespace twinspool::tls {

enum class Version : std::uint8_t { tls12, tls13 };

struct ClientOptions {
  std::string ca_file;    // PEM, revocation lists are obeyed; empty: the system's trust store
  std::string cert_file;  // PEM chain and key of the client; both or neither
  std::string key_file;
  Version min_version = Version::tls12;
};

struct ServerOptions {  // tests and the stand-in cloud
  std::string cert_file;
  std::string key_file;
  std::string client_ca_file;  // not empty: a client must show a certificate of this authority
  Version min_version = Version::tls12;
  Version max_version = Version::tls13;
};

struct ContextImpl;

// Loop thread, as its engines. Engines may outlive it (a reloaded configuration makes a new Context for new
// connections).
class Context {
 public:
  static Result<Context> client(const ClientOptions& options);  // Errc::invalid with file and reason
  static Result<Context> server(const ServerOptions& options);
  Context(Context&&) noexcept;
  Context& operator=(Context&&) noexcept;
  ~Context();

 private:
  friend class Engine;
  explicit Context(std::shared_ptr<ContextImpl> impl);
  std::shared_ptr<ContextImpl> impl_;  // holds the newest session of each server name, for resumption
};

class Engine {
 public:
  // `server_name`: what the certificate must be for, and SNI (an IP literal is checked as an IP, and sends no SNI).
  static Engine client(Context& context, const std::string& server_name);
  static Engine server(Context& context);
  Engine(Engine&&) noexcept;
  ~Engine();

  // Each moves the engine on as far as it goes; then take_ciphertext() has what must be sent (also after an error: an
  // alert).
  Result<void> receive(std::string_view ciphertext, std::string& plaintext_out);  // appends what was decrypted
  Result<void> send(std::string_view plaintext);  // before the handshake is done it is kept and sent then
  Result<void> start();                           // a client's first flight
  void close();                                   // close_notify, after what is kept; nothing may be sent after it
  std::string take_ciphertext();

  std::size_t kept() const;  // bytes of plaintext that wait for the end of the handshake
  bool handshake_done() const;
  bool peer_closed() const;  // close_notify was received
  bool session_reused() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace twinspool::tls

#include "tls/engine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "tls/openssl.h"

namespace twinspool::tls {
namespace {

constexpr std::size_t kRecordBytesMax = 16 * 1024;
constexpr std::size_t kSessionsMax = 64;  // server names come from the configuration: a handful

bool is_ip_literal(const std::string& name) {
  const std::unique_ptr<ASN1_OCTET_STRING, Free<&ASN1_OCTET_STRING_free>> ip(a2i_IPADDRESS(name.c_str()));
  ERR_clear_error();
  return ip != nullptr;
}

// As a certificate writes it: without the brackets of a URL, without the root's dot.
std::string reference_name(std::string name) {
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') return name.substr(1, name.size() - 2);
  if (!name.empty() && name.back() == '.') name.pop_back();
  return name;
}

}  // namespace

struct Engine::Impl {
  Impl(std::shared_ptr<ContextImpl> shared, std::string name);
  ~Impl();
  Impl(Impl&&) = delete;  // OpenSSL points at this object

  Result<void> advance();
  Result<void> flush_kept();
  Result<void> decrypt(std::string& plaintext_out);
  Result<void> failed(int result, const char* doing);
  void close_if_wanted();

  static int verify(int accepted, X509_STORE_CTX* verification);
  static int keep_session(SSL* connection, SSL_SESSION* session);
  static const BIO_METHOD* bio_method();
  static int bio_read(BIO* bio, char* to, int size);
  static int bio_write(BIO* bio, const char* from, int size);
  static long bio_control(BIO* bio, int command, long number, void* pointer);

  std::shared_ptr<ContextImpl> context;
  std::string server_name;    // empty: we are the server
  std::string_view incoming;  // during receive()
  std::string outgoing;
  std::string kept;  // plaintext for after the handshake
  std::optional<CertificateFault> fault;
  bool close_wanted = false;
  bool closed = false;
  bool peer_closed = false;
  bool broken = false;
  ConnectionPtr ssl;
};

Engine::Impl::Impl(std::shared_ptr<ContextImpl> shared, std::string name)
    : context(std::move(shared)), server_name(std::move(name)), ssl(SSL_new(context->raw.get())) {
  ENSURE(ssl != nullptr);
  SSL_set_app_data(ssl.get(), this);
  BIO* bio = BIO_new(bio_method());
  ENSURE(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl.get(), bio, bio);
}

Engine::Impl::~Impl() {
  // A connection that ended without close_notify, as in every outage, may be resumed all the same (RFC 5246, 7.2.1).
  if (!broken) SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

// OpenSSL reads what receive() was given and appends what it sends to `outgoing`: no copies in between.
const BIO_METHOD* Engine::Impl::bio_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "twinspool engine");
    ENSURE(made != nullptr);
    BIO_meth_set_read(made, &Impl::bio_read);
    BIO_meth_set_write(made, &Impl::bio_write);
    BIO_meth_set_ctrl(made, &Impl::bio_control);
    return made;
  }();
  return method;
}

int Engine::Impl::bio_read(BIO* bio, char* to, int size) {
  auto* self = static_cast<Impl*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const std::size_t count = std::min(self->incoming.size(), static_cast<std::size_t>(size));
  if (count == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(to, self->incoming.data(), count);
  self->incoming.remove_prefix(count);
  return static_cast<int>(count);
}

int Engine::Impl::bio_write(BIO* bio, const char* from, int size) {
  auto* self = static_cast<Impl*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  self->outgoing.append(from, static_cast<std::size_t>(size));
  return size;
}

long Engine::Impl::bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int Engine::Impl::verify(int accepted, X509_STORE_CTX* verification) {
  const int index = SSL_get_ex_data_X509_STORE_CTX_idx();
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(verification, index));
  auto* self = static_cast<Impl*>(SSL_get_app_data(ssl));
  if (accepted != 1 && !self->fault) self->fault = fault_of(verification);
  return accepted;
}

int Engine::Impl::keep_session(SSL* connection, SSL_SESSION* session) {
  auto* self = static_cast<Impl*>(SSL_get_app_data(connection));
  auto& sessions = self->context->sessions;
  if (SSL_SESSION_is_resumable(session) != 1 || self->broken) return 0;
  if (sessions.size() >= kSessionsMax) sessions.clear();
  sessions[self->server_name] = SessionPtr(session);
  return 1;  // it is ours now
}

Result<void> Engine::Impl::advance() {
  if (SSL_is_init_finished(ssl.get()) != 1) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl.get());
    if (result != 1) return failed(result, "TLS handshake");
  }
  return flush_kept();
}

Result<void> Engine::Impl::flush_kept() {
  if (!kept.empty()) {
    std::size_t written = 0;
    ERR_clear_error();
    const int result = SSL_write_ex(ssl.get(), kept.data(), kept.size(), &written);
    if (result != 1) return failed(result, "TLS write");
    kept = {};
  }
  close_if_wanted();
  return {};
}

Result<void> Engine::Impl::decrypt(std::string& plaintext_out) {
  thread_local std::array<char, kRecordBytesMax> record;
  while (true) {
    std::size_t count = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl.get(), record.data(), record.size(), &count);
    if (result != 1) return failed(result, "TLS read");
    plaintext_out.append(record.data(), count);
  }
}

// Also where nothing failed: OpenSSL only wants more bytes.
Result<void> Engine::Impl::failed(int result, const char* doing) {
  switch (SSL_get_error(ssl.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return {};
    case SSL_ERROR_ZERO_RETURN:
      peer_closed = true;
      return {};
    default:
      break;
  }
  broken = true;
  // Where a resumed session is what the server does not like, the next handshake is a full one.
  if (SSL_is_init_finished(ssl.get()) != 1) context->sessions.erase(server_name);
  const std::string reason = take_openssl_error(server_name.empty() ? Advice::none : Advice::to_client);
  const std::string with = server_name.empty() ? "" : " with " + server_name;
  if (!fault) return fail(Errc::tls, doing + with + " failed: " + reason);
  return fail(Errc::tls,
              doing + with + " failed: " + explain(*fault, server_name.empty() ? "the client" : server_name));
}

void Engine::Impl::close_if_wanted() {
  if (!close_wanted || closed || broken || SSL_is_init_finished(ssl.get()) != 1) return;
  closed = true;
  ERR_clear_error();
  (void)SSL_shutdown(ssl.get());
  ERR_clear_error();
}

Engine Engine::client(Context& context, const std::string& server_name) {
  std::string name = reference_name(server_name);
  ENSURE(!name.empty());
  auto impl = std::make_unique<Impl>(context.impl_, name);
  SSL* ssl = impl->ssl.get();
  SSL_set_verify(ssl, SSL_VERIFY_PEER, &Impl::verify);
  X509_VERIFY_PARAM* checks = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (is_ip_literal(name)) {
    ENSURE(X509_VERIFY_PARAM_set1_ip_asc(checks, name.c_str()) == 1);
  } else {
    ENSURE(X509_VERIFY_PARAM_set1_host(checks, name.data(), name.size()) == 1);
    // What the macro SSL_set_tlsext_host_name does, without its C cast.
    ENSURE(SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) == 1);
  }
  SSL_CTX_sess_set_new_cb(context.impl_->raw.get(), &Impl::keep_session);
  const auto session = context.impl_->sessions.find(name);
  if (session != context.impl_->sessions.end()) SSL_set_session(ssl, session->second.get());
  SSL_set_connect_state(ssl);
  return Engine(std::move(impl));
}

Engine Engine::server(Context& context) {
  auto impl = std::make_unique<Impl>(context.impl_, "");
  SSL* ssl = impl->ssl.get();
  SSL_set_verify(ssl, SSL_get_verify_mode(ssl), &Impl::verify);
  SSL_set_accept_state(ssl);
  return Engine(std::move(impl));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine::~Engine() = default;

Result<void> Engine::start() { return impl_->advance(); }

Result<void> Engine::receive(std::string_view ciphertext, std::string& plaintext_out) {
  if (impl_->broken) return fail(Errc::tls, "the TLS connection failed before");
  impl_->incoming = ciphertext;
  Result<void> result;
  if (!handshake_done() || !impl_->kept.empty()) result = impl_->advance();
  if (result && handshake_done()) result = impl_->decrypt(plaintext_out);
  impl_->incoming = {};  // left over only after the peer's close_notify: nothing may follow it
  return result;
}

Result<void> Engine::send(std::string_view plaintext) {
  ENSURE(!impl_->close_wanted);
  if (impl_->broken) return fail(Errc::tls, "the TLS connection failed before");
  if (!handshake_done() || !impl_->kept.empty()) {
    impl_->kept.append(plaintext);
    return {};
  }
  if (plaintext.empty()) return {};
  std::size_t written = 0;
  ERR_clear_error();
  const int result = SSL_write_ex(impl_->ssl.get(), plaintext.data(), plaintext.size(), &written);
  if (result == 1) return {};
  Result<void> outcome = impl_->failed(result, "TLS write");
  if (outcome) impl_->kept.append(plaintext);  // it waits for the peer: sent again when more was received
  return outcome;
}

void Engine::close() {
  impl_->close_wanted = true;
  if (impl_->kept.empty()) impl_->close_if_wanted();
}

std::string Engine::take_ciphertext() { return std::exchange(impl_->outgoing, {}); }
std::size_t Engine::kept() const { return impl_->kept.size(); }
bool Engine::handshake_done() const { return SSL_is_init_finished(impl_->ssl.get()) == 1; }
bool Engine::peer_closed() const { return impl_->peer_closed; }
bool Engine::session_reused() const { return SSL_session_reused(impl_->ssl.get()) == 1; }

}  // namespace twinspool::tls

// The Context of engine.h: what all connections of one configuration share.
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tls/engine.h"
#include "tls/openssl.h"

namespace twinspool::tls {
namespace {

Result<void> check_readable(const char* what, const std::string& file) {
  if (::access(file.c_str(), R_OK) == 0) return {};
  return fail(Errc::invalid, std::string("cannot read the ") + what + " " + file + ": " + std::strerror(errno));
}

Result<void> bad_file(const char* what, const std::string& file) {
  return fail(Errc::invalid, std::string("the ") + what + " " + file + " is of no use: " + take_openssl_error());
}

Result<void> use_certificate(SSL_CTX* context, const std::string& cert_file, const std::string& key_file) {
  if (const auto readable = check_readable("certificate", cert_file); !readable) return readable;
  if (const auto readable = check_readable("key", key_file); !readable) return readable;
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) return bad_file("certificate", cert_file);
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) return bad_file("key", key_file);
  if (SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return fail(Errc::invalid, "the key " + key_file + " does not belong to the certificate " + cert_file);
  }
  return {};
}

// Whoever puts a revocation list beside the authorities wants it to be looked at; OpenSSL does so only when told.
void check_revocation(SSL_CTX* context) {
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(store);
  for (int index = 0; index < sk_X509_OBJECT_num(objects); ++index) {
    if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, index)) != X509_LU_CRL) continue;
    ENSURE(X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1);
    return;
  }
}

Result<void> trust(SSL_CTX* context, const std::string& ca_file) {
  ERR_clear_error();
  if (ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return {};
    return fail(Errc::invalid, "cannot use the system's trust store: " + take_openssl_error());
  }
  if (const auto readable = check_readable("CA file", ca_file); !readable) return readable;
  if (SSL_CTX_load_verify_file(context, ca_file.c_str()) != 1) return bad_file("CA file", ca_file);
  check_revocation(context);
  return {};
}

int number_of(Version version) { return version == Version::tls13 ? TLS1_3_VERSION : TLS1_2_VERSION; }

ContextPtr make_context(const SSL_METHOD* method, Version min_version) {
  ERR_clear_error();
  ContextPtr context(SSL_CTX_new(method));
  ENSURE(context != nullptr);
  ENSURE(SSL_CTX_set_min_proto_version(context.get(), number_of(min_version)) == 1);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle connection keeps no record buffers: they are 34 KiB each.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Without this an encrypted key would make OpenSSL ask on the terminal, and a daemon wait for ever.
  SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return 0; });
  return context;
}

}  // namespace

Result<Context> Context::client(const ClientOptions& options) {
  auto impl = std::make_shared<ContextImpl>();
  impl->raw = make_context(TLS_client_method(), options.min_version);
  SSL_CTX* context = impl->raw.get();
  if (const auto trusted = trust(context, options.ca_file); !trusted) return tl::unexpected(trusted.error());
  if (options.cert_file.empty() != options.key_file.empty()) {
    return fail(Errc::invalid, "a client certificate needs both cert_file and key_file");
  }
  if (!options.cert_file.empty()) {
    const auto used = use_certificate(context, options.cert_file, options.key_file);
    if (!used) return tl::unexpected(used.error());
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  return Context(std::move(impl));
}

Result<Context> Context::server(const ServerOptions& options) {
  auto impl = std::make_shared<ContextImpl>();
  impl->raw = make_context(TLS_server_method(), options.min_version);
  SSL_CTX* context = impl->raw.get();
  if (const auto used = use_certificate(context, options.cert_file, options.key_file); !used) {
    return tl::unexpected(used.error());
  }
  ENSURE(SSL_CTX_set_max_proto_version(context, number_of(options.max_version)) == 1);
  constexpr unsigned char kName[] = "twinspool";
  SSL_CTX_set_session_id_context(context, kName, sizeof kName - 1);  // sessions of verified clients need one
  if (!options.client_ca_file.empty()) {
    if (const auto trusted = trust(context, options.client_ca_file); !trusted) return tl::unexpected(trusted.error());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return Context(std::move(impl));
}

Context::Context(std::shared_ptr<ContextImpl> impl) : impl_(std::move(impl)) {}
Context::Context(Context&&) noexcept = default;
Context& Context::operator=(Context&&) noexcept = default;
Context::~Context() = default;

}  // namespace twinspool::tls

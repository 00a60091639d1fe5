// Inside tls: OpenSSL's objects with owners, and its errors as text. Included by .cpp files only.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace twinspool::tls {

template <auto free_function>
struct Free {
  template <class T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Free<&SSL_CTX_free>>;
using ConnectionPtr = std::unique_ptr<SSL, Free<&SSL_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, Free<&SSL_SESSION_free>>;

// What OpenSSL says went wrong last, and forgets it. Only its own fixed reason texts: never data, so never a secret.
// A client's handshake says what to do about it, where that is not in the reason.
enum class Advice : std::uint8_t { none, to_client };
std::string take_openssl_error(Advice advice = Advice::none);

// The first fault that the verification of a peer's chain met.
struct CertificateFault {
  int code = X509_V_OK;
  int depth = 0;  // 0: the peer's own certificate
  std::string subject;
  std::string issuer;
  std::string not_before;
  std::string not_after;
  std::string names;  // what the certificate is for
};
CertificateFault fault_of(X509_STORE_CTX* verification);
std::string explain(const CertificateFault& fault, const std::string& wanted_host);

struct ContextImpl {
  ContextPtr raw;
  std::map<std::string, SessionPtr> sessions;  // client: the newest by server name
};

}  // namespace twinspool::tls

// Signatures with a certificate's key, for assertions that prove who we are. Pure once loaded.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "util/error.h"

namespace twinspool::tls {

class SigningKey {
 public:
  // From PEM texts: a certificate (the first one, where there are several) and its RSA key. `certificate_name` and
  // `key_name` stand for them in errors. Errc::invalid where one is no PEM, the key is encrypted or no RSA key, they do
  // not belong together, or the certificate is over.
  static Result<SigningKey> from_pem(const std::string& certificate, const std::string& certificate_name,
                                     const std::string& key, const std::string& key_name);
  SigningKey(SigningKey&&) noexcept;
  ~SigningKey();

  const std::string& sha256_thumbprint() const;          // of the DER certificate: 32 bytes
  std::string sign_ps256(std::string_view bytes) const;  // RSASSA-PSS, SHA-256, 32 bytes of salt (RFC 7518, 3.5)

 private:
  struct Impl;
  explicit SigningKey(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// `size` random bytes as lower-case hexadecimal digits.
std::string random_hex(std::size_t size);

}  // namespace twinspool::tls

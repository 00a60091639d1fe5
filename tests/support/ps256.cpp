#include "support/ps256.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <cstdio>

#include "util/error.h"

namespace twinspool::test {

struct Verifier::Impl {
  X509* certificate = nullptr;
};

Verifier::Verifier(const std::string& certificate_file) : impl_(std::make_unique<Impl>()) {
  std::FILE* file = std::fopen(certificate_file.c_str(), "re");
  ENSURE(file != nullptr);
  impl_->certificate = PEM_read_X509(file, nullptr, nullptr, nullptr);
  std::fclose(file);
  ENSURE(impl_->certificate != nullptr);
}

Verifier::~Verifier() { X509_free(impl_->certificate); }

std::string Verifier::sha256_thumbprint() const {
  std::array<unsigned char, 32> digest{};
  unsigned size = digest.size();
  ENSURE(X509_digest(impl_->certificate, EVP_sha256(), digest.data(), &size) == 1 && size == digest.size());
  return {reinterpret_cast<const char*>(digest.data()), size};
}

bool Verifier::good_ps256(std::string_view text, std::string_view signature) const {
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  EVP_PKEY_CTX* options = nullptr;
  ENSURE(EVP_DigestVerifyInit(digest, &options, EVP_sha256(), nullptr, X509_get0_pubkey(impl_->certificate)) == 1);
  ENSURE(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1);
  ENSURE(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, 32) == 1);
  ENSURE(EVP_PKEY_CTX_set_rsa_mgf1_md(options, EVP_sha256()) == 1);
  const int good = EVP_DigestVerify(digest, reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                                    reinterpret_cast<const unsigned char*>(text.data()), text.size());
  EVP_MD_CTX_free(digest);
  ERR_clear_error();
  return good == 1;
}

std::optional<std::string> from_base64url(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xFF);
  }
  return out;
}

}  // namespace twinspool::test

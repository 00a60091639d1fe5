#include "tls/signing.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>

#include "tls/openssl.h"

namespace twinspool::tls {

namespace {

using BioPtr = std::unique_ptr<BIO, Free<&BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<&EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Free<&X509_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, Free<&EVP_MD_CTX_free>>;

BioPtr reader_of(const std::string& text) {
  BioPtr memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  ENSURE(memory != nullptr);
  return memory;
}

// Without it an encrypted key would make OpenSSL ask on the terminal.
int no_password(char*, int, int, void*) { return 0; }

constexpr int kKeyBitsMin = 2048;

}  // namespace

struct SigningKey::Impl {
  KeyPtr key;
  std::string thumbprint;
};

SigningKey::SigningKey(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey::~SigningKey() = default;

Result<SigningKey> SigningKey::from_pem(const std::string& certificate, const std::string& certificate_name,
                                        const std::string& key, const std::string& key_name) {
  ERR_clear_error();
  const CertificatePtr parsed(PEM_read_bio_X509(reader_of(certificate).get(), nullptr, no_password, nullptr));
  if (!parsed) {
    return fail(Errc::invalid,
                "the certificate " + certificate_name + " is of no use: " + take_openssl_error() + "; PEM is accepted");
  }
  auto impl = std::make_unique<Impl>();
  impl->key.reset(PEM_read_bio_PrivateKey(reader_of(key).get(), nullptr, no_password, nullptr));
  if (!impl->key) {
    return fail(Errc::invalid, "the key " + key_name + " is of no use: " + take_openssl_error() +
                                   "; PEM without a password is accepted");
  }
  if (EVP_PKEY_get_base_id(impl->key.get()) != EVP_PKEY_RSA || EVP_PKEY_get_bits(impl->key.get()) < kKeyBitsMin) {
    return fail(Errc::invalid, "the key " + key_name + " cannot sign PS256; an RSA key of " +
                                   std::to_string(kKeyBitsMin) + " bits or more is accepted");
  }
  if (X509_check_private_key(parsed.get(), impl->key.get()) != 1) {
    ERR_clear_error();
    return fail(Errc::invalid, "the key " + key_name + " does not belong to the certificate " + certificate_name);
  }
  if (X509_cmp_current_time(X509_get0_notAfter(parsed.get())) < 0) {
    return fail(Errc::invalid, "the certificate " + certificate_name +
                                   " is over; make a new one and upload it to the app registration");
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  ENSURE(X509_digest(parsed.get(), EVP_sha256(), digest.data(), &size) == 1);
  impl->thumbprint.assign(reinterpret_cast<const char*>(digest.data()), size);
  return SigningKey(std::move(impl));
}

const std::string& SigningKey::sha256_thumbprint() const { return impl_->thumbprint; }

std::string SigningKey::sign_ps256(std::string_view bytes) const {
  const DigestPtr digest(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;  // the digest's
  ENSURE(digest != nullptr &&
         EVP_DigestSignInit(digest.get(), &options, EVP_sha256(), nullptr, impl_->key.get()) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1);
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t size = 0;
  ENSURE(EVP_DigestSign(digest.get(), nullptr, &size, data, bytes.size()) == 1);
  std::string signature(size, '\0');
  ENSURE(EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, data, bytes.size()) ==
         1);
  signature.resize(size);
  return signature;
}

std::string random_hex(std::size_t size) {
  std::string bytes(size, '\0');
  ENSURE(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size)) == 1);
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace twinspool::tls

#include "support/certificates.h"

#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "util/error.h"

namespace twinspool {
namespace {

using namespace std::chrono_literals;

template <auto free_function>
struct Free {
  template <class T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<&EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<&X509_free>>;
using File = std::unique_ptr<std::FILE, Free<&std::fclose>>;

Key make_key(CertificateRequest::Key kind = CertificateRequest::Key::ec) {
  Key key(kind == CertificateRequest::Key::rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
  ENSURE(key != nullptr);
  return key;
}

Certificate make_certificate(EVP_PKEY* key, const std::string& common_name, std::chrono::seconds from,
                             std::chrono::seconds until) {
  Certificate made(X509_new());
  ENSURE(made != nullptr && X509_set_version(made.get(), 2) == 1);
  const std::unique_ptr<BIGNUM, Free<&BN_free>> serial(BN_new());
  ENSURE(BN_rand(serial.get(), 120, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
  ENSURE(BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(made.get())) != nullptr);
  ENSURE(X509_gmtime_adj(X509_getm_notBefore(made.get()), static_cast<long>(from.count())) != nullptr);
  ENSURE(X509_gmtime_adj(X509_getm_notAfter(made.get()), static_cast<long>(until.count())) != nullptr);
  ENSURE(X509_set_pubkey(made.get(), key) == 1);
  ENSURE(X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0) == 1);
  return made;
}

void add_extension(X509* to, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free<&X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  ENSURE(extension != nullptr && X509_add_ext(to, extension.get(), -1) == 1);
}

File create(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ENSURE(descriptor >= 0);
  return File(::fdopen(descriptor, "w"));
}

void write_certificate(const std::string& path, X509* certificate) {
  const File file = create(path);
  ENSURE(PEM_write_X509(file.get(), certificate) == 1);
}

bool is_ip(const std::string& host) {
  const std::unique_ptr<ASN1_OCTET_STRING, Free<&ASN1_OCTET_STRING_free>> ip(a2i_IPADDRESS(host.c_str()));
  return ip != nullptr;
}

}  // namespace

struct CertificateAuthority::Impl {
  Key key;
  Certificate certificate;
};

CertificateRequest CertificateRequest::expired(std::vector<std::string> hosts) {
  CertificateRequest request = for_hosts(std::move(hosts));
  request.valid_from = -48h;
  request.valid_until = -1h;
  return request;
}

CertificateRequest CertificateRequest::not_yet_valid(std::vector<std::string> hosts) {
  CertificateRequest request = for_hosts(std::move(hosts));
  request.valid_from = 1h;
  return request;
}

CertificateAuthority::CertificateAuthority(std::string directory, const std::string& name)
    : directory_(std::move(directory)), ca_file_(directory_ + "/" + name + ".pem"), impl_(std::make_unique<Impl>()) {
  impl_->key = make_key();
  impl_->certificate = make_certificate(impl_->key.get(), "Test authority " + name, -72h, 24h * 365);
  X509* certificate = impl_->certificate.get();
  ENSURE(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1);
  add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
  ENSURE(X509_sign(certificate, impl_->key.get(), EVP_sha256()) > 0);
  write_certificate(ca_file_, certificate);
}

CertificateAuthority::CertificateAuthority(CertificateAuthority&&) noexcept = default;
CertificateAuthority::~CertificateAuthority() = default;

CertificateFiles CertificateAuthority::issue(const std::string& name, const CertificateRequest& request) {
  const Key key = make_key(request.key);
  const Certificate made = make_certificate(key.get(), request.common_name, request.valid_from, request.valid_until);
  X509* authority = impl_->certificate.get();
  ENSURE(X509_set_issuer_name(made.get(), X509_get_subject_name(authority)) == 1);
  std::string names;
  for (const std::string& host : request.hosts) {
    names += (names.empty() ? "" : ",") + std::string(is_ip(host) ? "IP:" : "DNS:") + host;
  }
  if (!names.empty()) add_extension(made.get(), authority, NID_subject_alt_name, names);
  add_extension(made.get(), authority, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(made.get(), authority, NID_key_usage, "critical,digitalSignature");
  add_extension(made.get(), authority, NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(made.get(), authority, NID_authority_key_identifier, "keyid");
  ENSURE(X509_sign(made.get(), impl_->key.get(), EVP_sha256()) > 0);

  CertificateFiles files{.cert_file = directory_ + "/" + name + ".pem", .key_file = directory_ + "/" + name + ".key"};
  write_certificate(files.cert_file, made.get());
  const File file = create(files.key_file);
  ENSURE(PEM_write_PrivateKey(file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return files;
}

}  // namespace twinspool

// Certificates made when a test runs, so that none in the repository ever expires: authorities, and what they issue,
// good and bad in one chosen way.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace twinspool {

struct CertificateFiles {
  std::string cert_file;  // PEM
  std::string key_file;   // PEM, 0600
};

struct CertificateRequest {
  enum class Key : std::uint8_t { ec, rsa };  // an RSA key takes its time, and is needed to sign assertions alone
  Key key = Key::ec;
  std::vector<std::string> hosts = {"localhost"};            // DNS names and IP literals: subject alternative names
  std::string common_name = "stand-in";                      // never enough for a client of ours
  std::chrono::seconds valid_from = std::chrono::hours{-1};  // from now
  std::chrono::seconds valid_until = std::chrono::hours{24 * 30};

  static CertificateRequest for_hosts(std::vector<std::string> hosts) {
    CertificateRequest request;
    request.hosts = std::move(hosts);
    return request;
  }
  static CertificateRequest expired(std::vector<std::string> hosts = {"localhost"});        // an hour ago
  static CertificateRequest not_yet_valid(std::vector<std::string> hosts = {"localhost"});  // in an hour
};

class CertificateAuthority {
 public:
  // Makes <name>.pem in `directory`, which exists.
  explicit CertificateAuthority(std::string directory, const std::string& name = "ca");
  CertificateAuthority(CertificateAuthority&&) noexcept;
  ~CertificateAuthority();

  const std::string& ca_file() const { return ca_file_; }

  // Makes <name>.pem and <name>.key in the same directory; for servers and for clients.
  CertificateFiles issue(const std::string& name, const CertificateRequest& request = {});

 private:
  struct Impl;
  std::string directory_;
  std::string ca_file_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace twinspool
